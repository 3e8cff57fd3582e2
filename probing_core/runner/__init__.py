"""Running the study and making the book: compute, execute notebooks, generate pages, build."""

from probing_core.runner.provenance import provenance

__all__ = ["provenance"]
