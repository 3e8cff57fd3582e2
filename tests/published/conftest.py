import os
from pathlib import Path

import pytest

from reproduction.check import read_expected
from probing_core.published.importer import import_results
from reproduction.recipes import Tables


@pytest.fixture(scope="session")
def results():
    """The folder of upstream's tables; they are no part of this repository."""
    folder = os.environ.get("PUBLISHED_RESULTS")
    if not folder:
        pytest.skip("PUBLISHED_RESULTS is not set: the paper's result tables are not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def found(results):
    return import_results(results)


@pytest.fixture(scope="session")
def tables(found):
    return Tables(found)


@pytest.fixture(scope="session")
def expected_file(results):
    path = results.parent.parent / "published_numbers.json"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the paper's result tables")
    return path


@pytest.fixture(scope="session")
def expected(expected_file):
    return read_expected(expected_file)
