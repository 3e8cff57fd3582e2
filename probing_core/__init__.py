"""A small core for sparse probing: activations, latents, probes, verdicts.

Data flows down this list of rooms and imports point up it only:
errors, profiles, store, datasets, models, saes, probes, experiments, analysis, figures,
pages, runner, cli.
"""

__version__ = "0.1.0"
