"""``python -m probing_core``."""

from probing_core.cli import main

main()
