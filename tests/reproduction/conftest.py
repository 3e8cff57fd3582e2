import pytest

from probing_core.published.source import published_import
from reproduction.facts import load_facts
from reproduction.recipes import Tables


@pytest.fixture(scope="session")
def found():
    """The published tables that ship, as one import."""
    return published_import()


@pytest.fixture(scope="session")
def tables(found):
    return Tables(found)


@pytest.fixture(scope="session")
def facts():
    """The numbers kept with the project."""
    return load_facts()
