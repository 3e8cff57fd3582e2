import pytest

from probing_core.published.layout import GEMMA
from probing_core.published.source import published_import
from reproduction.facts import load_facts
from reproduction.recipes import Tables
from reproduction.recipes.tables import QUIVER_SAES


@pytest.fixture(scope="session")
def found():
    """The tables that ship."""
    return published_import()


@pytest.fixture(scope="session")
def tables(found):
    return Tables(found)


@pytest.fixture(scope="session")
def facts():
    return load_facts()


@pytest.fixture(scope="session")
def gemma(found):
    """The paper's own rows, as a run's."""
    own = found.rows[found.rows["model"].eq(GEMMA)]
    return own[own["section"].isin(["standard", "regimes", "shift"])]


@pytest.fixture(scope="session")
def pool():
    """The probes of the paper's quivers."""
    hook = "blocks.20.hook_resid_post"
    return {"hook": hook, "sae_ids": QUIVER_SAES[GEMMA], "ranking": "mean_difference"}
