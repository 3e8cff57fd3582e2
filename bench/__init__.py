"""Measurements beside others, kept as tables; never run as tests."""

import os

# One thread a process, on both sides of every ratio; the libraries read this when they load.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
