"""The registry of sections: how each plans its units, and where its rows come from.

A section is one notebook, one module here and one in `figures`, a grid in the profile, a line in
``_toc.yml``, and its entry in `SECTIONS`. Runner, status and tests go through the registry, and a
notebook names in its front matter the sections whose rows it reads.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from probing_core.errors import UserError, nearest
from probing_core.experiments import (
    activations,
    improvements,
    leakage,
    mislabelled,
    multi_token,
    planted,
    published,
    regimes,
    saes,
    second,
    shift,
    shortcuts,
    standard,
)
from probing_core.experiments.study import Study, once
from probing_core.experiments.units import Unit, compute_units, stored_rows
from probing_core.probes.methods import FITTED
from probing_core.published.source import source_digest
from probing_core.rows import to_frame
from probing_core.store import Key


@dataclass(frozen=True)
class Section:
    """A section of the study: what it keeps, how that is computed and read, what stands in.

    Each function takes a study and what the section can be narrowed to; `suffix` is that of its
    files in the store.
    """

    name: str
    keys: Callable[..., list[Key]]
    compute: Callable[..., None]
    read: Callable[..., pd.DataFrame]
    published: Callable[..., pd.DataFrame]
    suffix: str = ".parquet"


def fitted(
    name: str,
    plan: Callable[..., list[Unit]],
    stand_in: Callable[..., pd.DataFrame] | None = None,
) -> Section:
    """A section that fits probes: `plan` gives its units for a study, the costly ones first.

    The published rows of the same name stand in for it, unless `stand_in` gives others.
    """
    planned = once(plan)

    def units(study: Study, **narrow: Sequence[str]) -> list[Unit]:
        return planned(study, **{what: tuple(names) for what, names in narrow.items()})

    return Section(
        name,
        keys=lambda study, **narrow: [unit.key for unit in units(study, **narrow)],
        compute=lambda study, **narrow: compute_units(study, units(study, **narrow)),
        read=lambda study, **narrow: stored_rows(study, units(study, **narrow)),
        published=stand_in or (lambda study: published.section_rows(study, name)),
    )


SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        Section(
            "activations",
            activations.extraction_keys,
            activations.compute_activations,
            activations.activation_table,
            published.task_table,
            ".safetensors",
        ),
        Section(
            "lengths",
            activations.length_keys,
            activations.compute_activations,
            activations.token_lengths,
            lambda study: pd.DataFrame(columns=["dataset", "source", "tokens"]),
            ".safetensors",
        ),
        Section(
            "saes", saes.sae_keys, saes.compute_saes, saes.sae_table, published.sae_table, ".json"
        ),
        fitted(standard.SECTION, standard.plan),
        fitted(regimes.SECTION, regimes.plan, published.regime_rows),
        fitted(shift.SECTION, shift.plan),
        fitted(shift.UNSHIFTED, shift.plan_unshifted, lambda study: to_frame([])),
        Section(second.SECTION, second.keys, second.compute, second.read, second.published_rows),
        Section(
            shortcuts.SECTION,
            shortcuts.keys,
            shortcuts.compute,
            shortcuts.read,
            shortcuts.published_rows,
        ),
        Section(
            mislabelled.SECTION,
            mislabelled.keys,
            mislabelled.compute,
            mislabelled.read,
            lambda study: pd.DataFrame(columns=mislabelled.COLUMNS),
        ),
        Section(
            multi_token.SECTION,
            multi_token.keys,
            multi_token.compute,
            multi_token.read,
            multi_token.published_rows,
        ),
        Section(
            improvements.SECTION,
            improvements.keys,
            improvements.compute,
            improvements.read,
            improvements.published_rows,
        ),
        Section(
            leakage.SECTION, leakage.keys, leakage.compute, leakage.read, lambda study: to_frame([])
        ),
        Section(
            planted.SECTION, planted.keys, planted.compute, planted.read, lambda study: to_frame([])
        ),
    )
}


def find_section(name: str) -> Section:
    """The section of that name; where there is none, a `UserError` offers the nearest."""
    if name not in SECTIONS:
        raise UserError(f"There is no section '{name}'. {nearest(name, SECTIONS)}")
    return SECTIONS[name]


def rows(study: Study, section: str, **narrow: Any) -> pd.DataFrame:
    """The tidy rows of a section: computed, where the store lacks them first, or published.

    `narrow` is what the section can be narrowed to, such as ``regimes=["scarcity"]``.

    Raises:
        UserError: If there is no such section, or something it needs is not to be had.
    """
    found = find_section(section)

    def computed() -> pd.DataFrame:
        found.compute(study, **narrow)
        return found.read(study, **narrow)

    return study.either(computed, lambda: found.published(study, **narrow))


def stored(study: Study, section: str) -> pd.DataFrame:
    """The rows of a section that are there already; nothing is computed."""
    found = find_section(section)
    return study.either(lambda: found.read(study), lambda: found.published(study))


def compute(study: Study, section: str) -> None:
    """Compute what the store lacks of a section; nothing of a published study."""
    study.either(lambda: find_section(section).compute(study), lambda: None)


def keys(study: Study, section: str) -> list[Key]:
    """What a section's rows are made from; of a published study its published rows."""
    return study.either(
        lambda: find_section(section).keys(study),
        lambda: [Key.of("published", section, digest=published_digest(study))],
    )


@once
def published_digest(study: Study) -> str:
    """A digest of the published rows in use."""
    return source_digest(study.store)


def lacking(study: Study, section: str) -> list[Key]:
    """The keys of a section that the store does not hold."""
    found = find_section(section)
    every = study.either(lambda: found.keys(study), lambda: [])
    return [key for key in every if not study.store.path(key, found.suffix).exists()]


def check(study: Study, sections: Iterable[str]) -> None:
    """Refuse sections, regimes and methods that do not exist, before anything runs.

    Raises:
        UserError: Naming the culprit and the nearest right name.
    """
    profile = study.profile
    for name in (*sections, *profile.sections):
        find_section(name)
    regimes.check(study, ())
    for grid in (profile.standard, *profile.regimes.values(), *profile.sections.values()):
        if wrong := [method for method in grid.methods if method not in FITTED]:
            raise UserError(f"There is no method '{wrong[0]}'. {nearest(wrong[0], FITTED)}")
