"""Section 02: plenty of clean data. Baselines at every hook, SAE probes at the main one."""

from probing_core.experiments.saes import study_saes
from probing_core.experiments.study import Study
from probing_core.experiments.units import Unit, plan_units

SECTION = "standard"
_VERSION = 4


def plan(study: Study) -> list[Unit]:
    """Every unit of the section, the costly ones first."""
    return plan_units(
        study,
        SECTION,
        "standard",
        study.profile.standard,
        version=_VERSION,
        hooks=study.model.hooks,
        saes=study_saes(study),
    )
