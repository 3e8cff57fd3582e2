"""Rows that others published, read where a section would otherwise compute its own.

A profile with ``source: published`` names models whose rows were imported into the store. Every
section reads them by its own name, so a page draws them with the code that draws a run.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from probing_core.errors import UserError
from probing_core.rows import to_frame
from probing_core.experiments.study import Study
from probing_core.profiles import PUBLISHED_GRIDS
from probing_core.saes.sources import matching
from probing_core.store import Key, Store

ROWS_KEY = Key.of("published", "rows")
REPORT_KEY = Key.of("published", "report")
NOT_IMPORTED = (
    "The published tables are not in the store. Import a checkout of"
    " github.com/JoshEngels/SAE-Probes first: python -m probing_core import-published FOLDER"
)


def side_key(kind: str) -> Key:
    """The key of an imported table that holds no probes."""
    return Key.of("published", kind, side=kind)


def published_rows(study: Study, section: str) -> pd.DataFrame:
    """The published rows of one section and of the study's model.

    Args:
        study: A study whose profile says ``source: published``.
        section: ``standard``, ``regimes``, ``shift``, ``pruning``, ``latents``, ``cola``, ….

    Returns:
        Tidy rows in the order of the published tables; empty when they hold none.

    Raises:
        UserError: If nothing was imported, or a damaged import must be repeated.
    """
    table = study.store.read_rows(ROWS_KEY)
    if table is None:
        raise UserError(NOT_IMPORTED)
    # Before pandas sees it: most of the rows belong to other sections and models.
    here = (pc.field("section") == section) & (pc.field("model") == study.model.name)
    return to_frame([table.filter(here)])


def only_published_rows(study: Study, section: str) -> pd.DataFrame:
    """Published rows of a section that no run computes yet; none for a computed study."""
    return published_rows(study, section) if study.published else to_frame([])


def imported_rows(store: Store) -> pd.DataFrame | None:
    """Every imported row, or ``None`` without an import."""
    table = store.read_rows(ROWS_KEY)
    return None if table is None else to_frame([table])


def imported_side(store: Store, kind: str) -> pd.DataFrame | None:
    """An imported table that holds no probes, or ``None``."""
    table = store.read_rows(side_key(kind))
    return None if table is None else table.to_pandas()


def import_report(store: Store) -> dict[str, Any] | None:
    """What the import read and what it did not, or ``None`` without one."""
    return store.read_json(REPORT_KEY)


def import_key(study: Study) -> Key:
    """A key that changes with the import and the model, for pages that are made from them.

    Raises:
        UserError: If nothing was imported.
    """
    report = study.store.read_json(REPORT_KEY)
    if report is None:
        raise UserError(NOT_IMPORTED)
    return Key.of("published", "rows", files=report["files"], model=study.model.name)


def rows_on_grid(study: Study, rows: pd.DataFrame, regimes: Sequence[str] = ()) -> pd.DataFrame:
    """The published rows of some regimes at the values and seeds that the profile asks for.

    Args:
        study: A study of published rows.
        rows: Its rows in the hard regimes.
        regimes: Regimes; all of the profile's when empty.

    Raises:
        UserError: If the tables hold a regime, but a value is asked for that was never published,
            or another seed.
    """
    parts = []
    for name in regimes or study.profile.regimes:
        grid = study.profile.regimes[name]
        here = rows[rows["regime"].eq(name)]
        for what, column, wanted in (
            (name, "regime_value", grid.values),
            ("split seed", "seed", grid.seeds or study.profile.seeds),
        ):
            known = sorted(here[column].unique())
            asked = [v for v in wanted if column == "seed" or v not in PUBLISHED_GRIDS[name]]
            if absent := [value for value in asked if known and value not in known]:
                shown = ", ".join(f"{value:g}" for value in known)
                raise UserError(
                    f"The published tables have no {what} {absent[0]:g}. Known: {shown}."
                )
            here = here[here[column].isin(list(wanted))]
        parts.append(here)
    return pd.concat(parts, ignore_index=True)


def published_saes(study: Study) -> list[str]:
    """The SAEs of the quiver among those the published rows hold, in the profile's order.

    Raises:
        UserError: If the rows hold SAEs, but none that the profile names.
    """
    rows = pd.concat([published_rows(study, name) for name in ("standard", "regimes")])
    return matching(rows["sae_id"].dropna().unique(), study.model.quiver_saes or ("*",))


def published_tasks(study: Study) -> pd.DataFrame:
    """One row a task, as far as it is known without a model: sizes, and no token counts.

    Returns:
        Columns dataset, source, n_prompts, n_available and truncated (all missing).
    """
    return pd.DataFrame(
        {
            "dataset": tag,
            "source": dataset.source,
            "n_prompts": len(dataset),
            "n_available": dataset.n_available,
            "truncated": float("nan"),
        }
        for tag, dataset in study.datasets.items()
    )


def published_sae_table(study: Study) -> pd.DataFrame:
    """One row an SAE of the published rows, with what its name says: width and L0."""
    rows = published_rows(study, "standard").dropna(subset=["sae_id"])
    table = rows.groupby("sae_id", sort=False).agg(
        architecture=("sae_architecture", "first"),
        width=("sae_width", "first"),
        hook=("hook", "first"),
        l0=("sae_l0", "first"),
    )
    unknown = ["explained_variance", "l0_probed", "explained_variance_probed"]
    unknown += ["n_tokens", "train_seconds"]
    table = table.reset_index().assign(**dict.fromkeys(unknown, None), gate="published")
    return table.sort_values(["width", "l0"], ignore_index=True)
