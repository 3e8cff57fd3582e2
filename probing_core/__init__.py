"""A small core for sparse probing: activations, latents, probes, verdicts.

Data flows down this list of rooms and imports point up it only:
errors, profiles, store, datasets, models, saes, probes, experiments, analysis, figures,
pages, runner, cli.
"""

import logging
import os

__version__ = "0.1.0"
LOG_FILE = "PROBING_LOG_FILE"
"""Names the file that a page's kernel and its workers log to: what is on stderr is on the page."""

if os.environ.get(LOG_FILE):
    logging.getLogger(__name__).addHandler(logging.FileHandler(os.environ[LOG_FILE], delay=True))
    logging.getLogger(__name__).propagate = False
