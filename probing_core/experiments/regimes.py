"""Section 03: scarce, imbalanced and mislabelled data, and any other regime a profile names.

Activations and latents are those of the standard regime; here rows and labels are chosen anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from probing_core.datasets.regimes import REGIMES, find_regime
from probing_core.errors import UserError
from probing_core.experiments import published
from probing_core.experiments.saes import study_saes
from probing_core.experiments.study import Study, once
from probing_core.experiments.units import Unit, plan_units
from probing_core.profiles import Grid, SAESource, changed_grid
from probing_core.saes.sources import expected_l0, matching, sae_id, width_name

SECTION = "regimes"
_VERSION = 2


def plan(study: Study, regimes: Sequence[str] = ()) -> list[Unit]:
    """Every unit of some regimes, all of the profile's by default; the costly ones first.

    Raises:
        UserError: If there is no such regime, or the profile has no grid for it.
    """
    check(study, regimes)
    saes = quiver_saes(study)
    planned: list[Unit] = []
    for name in regimes or study.profile.regimes:
        planned += plan_units(
            study,
            SECTION,
            name,
            study.profile.regimes[name],
            version=_VERSION,
            hooks=[study.main_hook],
            # One probe meets one baseline where no quivers compete.
            saes=saes if REGIMES[name].quiver else saes[:1],
        )
    return sorted(planned, key=lambda unit: unit.source is not None)


def regrid(
    study: Study,
    grids: Mapping[str, Sequence[float]],
    seeds: Sequence[int] = (),
    saes: Sequence[str] = (),
) -> Study:
    """The same study with other values in some regimes, or other seeds or SAEs in all of them.

    What is left empty stays as the profile has it. SAEs of the quiver are ids or patterns; the
    first one goes head to head.

    Raises:
        UserError: If there is no such regime, or a grid is empty or holds what none can.
    """
    found = dict(study.profile.regimes)
    for name, values in grids.items():
        find_regime(name)
        if not values:
            raise UserError(f"The grid of '{name}' is empty: give at least one value.")
        found[name] = changed_grid(found.get(name) or Grid(), f"grids, {name}", values=values)
    if seeds:
        found = {n: changed_grid(grid, "seeds", seeds=seeds) for n, grid in found.items()}
    model = study.model.model_copy(update={"quiver_saes": tuple(saes)}) if saes else study.model
    return replace(study, profile=study.profile.model_copy(update={"regimes": found}), model=model)


@once
def quiver_saes(study: Study) -> list[SAESource]:
    """The SAEs that compete in the regimes: those the model's profile names, else one a width.

    The first one meets logistic regression where no quivers compete. Of each width it is the
    one with the largest L0 (PAPER B.6).

    Raises:
        UserError: If a name of the profile fits no SAE of the model.
    """
    known = {sae_id(source): source for source in study_saes(study)}
    if wanted := study.model.quiver_saes:
        return [known[name] for name in matching(known, wanted)]
    best: dict[str, SAESource] = {}
    for source in known.values():
        other = best.get(width_name(source))
        if other is None or (expected_l0(source) or 0.0) > (expected_l0(other) or 0.0):
            best[width_name(source)] = source
    return list(best.values())


def first_sae(study: Study) -> SAESource | None:
    """The SAE that goes head to head; ``None`` where there is none, as in a published study."""
    return next(iter(study.either(lambda: quiver_saes(study), lambda: [])), None)


def quiver_names(study: Study) -> list[str]:
    """Ids of `quiver_saes`, as rows name them; of published rows, the SAEs that these hold."""
    return study.either(
        lambda: [sae_id(source) for source in quiver_saes(study)],
        lambda: published.quiver_names(study),
    )


def check(study: Study, regimes: Sequence[str]) -> None:
    """Refuse regimes that do not exist, or that the profile has no grid for."""
    for name in (*study.profile.regimes, *regimes):
        find_regime(name)
    if absent := [name for name in regimes if name not in study.profile.regimes]:
        raise UserError(f"Profile '{study.profile.name}' has no grid for the regime '{absent[0]}'.")
