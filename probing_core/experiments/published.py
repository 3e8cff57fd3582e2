"""What stands in for a section's rows when a profile says ``source: published``."""

import json
from collections.abc import Sequence

import pandas as pd

from probing_core.datasets.regimes import REGIMES
from probing_core.errors import UserError
from probing_core.experiments.study import Study, once
from probing_core.published.source import published_rows
from probing_core.saes.sources import matching


@once
def section_rows(study: Study, section: str) -> pd.DataFrame:
    """The published rows of one section and of the study's model; empty if there are none."""
    return published_rows(study.store, section, study.model.name)


def regime_rows(study: Study, regimes: Sequence[str] = ()) -> pd.DataFrame:
    """Published rows of some regimes, all of the profile's by default, on the profile's grids.

    Raises:
        UserError: If the tables hold a regime, but a value is asked for that was never published,
            or another seed.
    """
    rows, parts = section_rows(study, "regimes"), []
    for name in regimes or study.profile.regimes:
        grid, published = study.profile.regimes[name], REGIMES[name].values
        here = rows[rows["regime"].eq(name)]
        for what, column, wanted in (
            (name, "regime_value", grid.values or published),
            ("split seed", "seed", grid.seeds or study.profile.seeds),
        ):
            known = sorted(here[column].unique())
            asked = [value for value in wanted if column == "seed" or value not in published]
            if absent := [value for value in asked if known and value not in known]:
                shown = ", ".join(f"{value:g}" for value in known)
                raise UserError(
                    f"The published tables have no {what} {absent[0]:g}. Known: {shown}."
                )
            here = here[here[column].isin(list(wanted))]
        parts.append(here)
    return pd.concat(parts, ignore_index=True) if parts else rows.iloc[:0]


def quiver_names(study: Study) -> list[str]:
    """The SAEs of the quiver among those the published rows hold, in the profile's order.

    Raises:
        UserError: If the rows hold SAEs, but none that the profile names.
    """
    rows = pd.concat([section_rows(study, name) for name in ("standard", "regimes")])
    return matching(rows["sae_id"].dropna().unique(), study.model.quiver_saes or ("*",))


def task_table(study: Study) -> pd.DataFrame:
    """One row a task, as far as it is known without a model: sizes, and no token counts."""
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


def sae_table(study: Study) -> pd.DataFrame:
    """One row an SAE of the published rows, with what its name says: width and L0."""
    rows = section_rows(study, "standard").dropna(subset=["sae_id"])
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


def single_latents(rows: pd.DataFrame) -> pd.DataFrame:
    """Published rows of table 5 or 6 in the columns they share with `latents.best_latents`.

    Besides dataset, sae_id, latent, test_auc (of table 5 the validation AUC) and shifted_auc
    these are description and, in table 5, llm_rank and human_rank.
    """
    if rows.empty:
        return pd.DataFrame(columns=["dataset", "sae_id", "latent", "test_auc", "shifted_auc"])
    said = pd.DataFrame([json.loads(text) for text in rows["hyperparameters"]], index=rows.index)
    shift = rows["regime"].eq("covariate_shift")
    told = rows[["dataset", "sae_id"]].assign(
        latent=said["latent"].astype(int),
        test_auc=rows["test_auc"].where(~shift, rows["val_auc"]),
        shifted_auc=rows["test_auc"].where(shift),
    )
    return told.join(said.drop(columns="latent")).reset_index(drop=True)
