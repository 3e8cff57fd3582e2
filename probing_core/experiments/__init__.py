"""What to fit: one module per section, run as units of work that the store remembers."""
