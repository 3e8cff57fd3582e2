"""Sparse autoencoders: where they come from, whether they are sound, what they encode."""
