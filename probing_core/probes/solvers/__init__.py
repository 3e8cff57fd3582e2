"""The arithmetic of the fast solvers: compiled loops and batched torch, without probes' rules."""
