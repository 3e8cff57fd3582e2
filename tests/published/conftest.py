import pytest

from probing_core.published.source import published_import
from tests.upstream import LAYER, NOISE, write_baselines, write_shift


@pytest.fixture(scope="session")
def shipped():
    """The published rows that ship."""
    return published_import().rows


@pytest.fixture
def folder(shipped, tmp_path):
    """A small checkout: three of upstream's tables, written from the rows that ship."""
    write_baselines(shipped, LAYER, tmp_path)
    write_baselines(shipped, NOISE, tmp_path)
    write_shift(shipped, tmp_path)
    return tmp_path


@pytest.fixture
def path(folder):
    """One table of that checkout."""
    return folder / LAYER
