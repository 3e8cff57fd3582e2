"""Figures of the book, drawn from tidy rows and nothing else."""
