"""Measurements beside others, kept as tables; never run as tests."""
