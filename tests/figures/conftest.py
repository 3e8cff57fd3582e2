"""Rows for drawing."""

import pandas as pd
import pytest

from tests.study_rows import study_rows


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    return study_rows()
