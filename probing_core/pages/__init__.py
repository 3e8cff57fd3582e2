"""Pages the run writes for the book: the tasks, the status, the table of profiles.

Every page is Markdown in the subset that both Jupyter Book 1 and 2 read, apart from the
example prompts, which are raw HTML because a prompt is hostile text. The same input
gives the same bytes, and a file whose bytes would not change is left alone, so Sphinx
rebuilds only what changed.
"""

from probing_core.pages.status import write_profiles_table, write_status_page
from probing_core.pages.tasks import page_groups, write_task_pages

__all__ = ["page_groups", "write_profiles_table", "write_status_page", "write_task_pages"]
