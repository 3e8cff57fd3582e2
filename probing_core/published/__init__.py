"""The published study: upstream's result tables as tidy rows, and what they say recomputed."""
