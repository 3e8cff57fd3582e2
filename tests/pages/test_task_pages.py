"""The table of tasks and the cards."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import given
from hypothesis import strategies as st
from myst_parser.docutils_ import Parser

from probing_core.analysis.quiver import quiver
from probing_core.datasets import TASKS, ProbingDataset
from probing_core.experiments.study import open_study
from probing_core.pages import write_task_pages
from probing_core.pages.facts import CACHE_NAME, read_facts, result_tables
from probing_core.pages.tasks import GROUPS, task_card
from tests.conftest import HOOK, TAGS, small_profile
from tests.study_rows import ROWS_PLACEHOLDER
