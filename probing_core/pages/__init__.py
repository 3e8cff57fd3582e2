"""Pages the run writes for the book, in Markdown; example prompts, hostile text, as raw HTML.

The same input gives the same bytes, and a file whose bytes would not change is left alone, so
Sphinx rebuilds only what changed.
"""

from probing_core.pages.status import write_profiles_table, write_status_page
from probing_core.pages.tasks import write_task_pages

__all__ = ["write_profiles_table", "write_status_page", "write_task_pages"]
