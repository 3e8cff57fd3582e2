"""Pages the run writes for the book: the tasks, the status, the table of profiles.

The same input gives the same bytes, and a file that would not change is left alone.
"""

from probing_core.pages.status import write_profiles_table, write_status_page
from probing_core.pages.tasks import page_groups, write_task_pages

__all__ = ["page_groups", "write_profiles_table", "write_status_page", "write_task_pages"]
