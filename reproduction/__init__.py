"""What answers to the paper: its numbers recomputed, its claims checked, its errata."""
