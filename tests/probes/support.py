"""What the tests of the probes share: draws of real rows, latents made of them, one-line fits."""

import numpy as np
from scipy import sparse

from probing_core.probes.evaluate import evaluate_label_sets
from probing_core.probes.inputs import Inputs

N_TEST = 200


def evaluate(method, X_train, y_train, X_test, y_test, **options):
    """One probe on one label set."""
    shared = Inputs(X_train, X_test)
    (result,) = evaluate_label_sets(method, [y_train], y_test, shared=shared, **options)
    return result


def draw(activations, n_train, *, positive=0.5, flipped=0.0):
    """Training rows of both classes in random order, and 200 test rows."""
    X, y = activations
    order = np.random.default_rng(0).permutation(len(y))
    pool, test = order[:-N_TEST], order[-N_TEST:]
    n_positive = max(1, round(n_train * positive))
    rows = np.r_[pool[y[pool] == 1][:n_positive], pool[y[pool] == 0][: n_train - n_positive]]
    rows = np.random.default_rng(1).permutation(rows)
    labels = y[rows].copy()
    noisy = np.random.default_rng(2).choice(len(rows), int(flipped * len(rows)), replace=False)
    labels[noisy] = 1 - labels[noisy]
    return X[rows], labels, X[test], y[test]


def code(X, width=256, active=16):
    """SAE-like latents: a fixed random dictionary of real activations, the largest kept."""
    dictionary = np.random.default_rng(0).standard_normal((X.shape[1], width), dtype=np.float32)
    pre = (X - X.mean(axis=0)) @ dictionary
    floor = -np.sort(-pre, axis=1)[:, active - 1 : active]
    return sparse.csr_array(np.where(pre >= floor, np.maximum(pre, 0), 0).astype(np.float32))


def encoded(arrays, width=256):
    """The same draw with latents in place of activations."""
    X_train, y_train, X_test, y_test = arrays
    latents = code(np.concatenate([X_train, X_test]), width)
    return latents[: len(y_train)], y_train, latents[len(y_train) :], y_test
