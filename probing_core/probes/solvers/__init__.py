"""The arithmetic of the fast solvers: loops and minimisers, without the search around them."""
