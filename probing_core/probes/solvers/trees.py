"""Gradient-boosted trees for binary labels, grown on binned rows.

The trees are XGBoost's (Chen and Guestrin 2016; `tree_method="hist"`, depth-wise, 3.x): the same
cut points, gain, penalties, stopping rules and leaf values. With all rows and columns sampled the
predictions agree; otherwise the samples come from another random stream.

Why not XGBoost itself: training sets here have at most about a thousand rows and hundreds to
thousands of columns, where XGBoost spends its time on setting up each iteration and on scanning
histograms one column at a time. Here one compiled call grows all trees of a fit. Sixteen columns
make a block, whose histogram fits into the first-level cache and whose split scan runs on all
sixteen at once. First and second derivatives are fixed-point numbers in the two halves of one
64-bit integer: one addition accumulates both, and sums are exact in any order. Their precision
is 2**-20 at a thousand rows and halves with every doubling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from probing_core.probes.solvers.tree_bins import LANES, BinnedRows
from probing_core.probes.solvers.tree_splits import best_splits, node_gain

LEAF = -1
MIN_GAIN = 1e-6
FIXED_POINT_BITS = 30
LOW_HALF = 0xFFFFFFFF


@dataclass(frozen=True)
class Growth:
    """How trees are grown; names and defaults are XGBoost's."""

    n_estimators: int = 100
    max_depth: int = 6
    learning_rate: float = 0.3
    subsample: float = 1.0
    colsample_bytree: float = 1.0
    reg_alpha: float = 0.0
    reg_lambda: float = 1.0
    min_child_weight: float = 1.0


@dataclass(frozen=True)
class Trees:
    """A fitted ensemble; node i of a tree has the children 2i + 1 and 2i + 2.

    Attributes:
        columns: (n_trees, n_nodes) int32, the column a node splits on, -1 for a leaf.
        thresholds: (n_trees, n_nodes) float32; smaller values go to the first child.
        values: (n_trees, n_nodes) float32, what a leaf adds to the logit.
        base: The logit before the first tree.
    """

    columns: np.ndarray
    thresholds: np.ndarray
    values: np.ndarray
    base: float

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Chances (m,) float32 of class 1 of rows (m, n_columns)."""
        wide = np.ascontiguousarray(rows, dtype=np.float32)
        logits = _walk(wide, self.columns, self.thresholds, self.values, np.float32(self.base))
        return 1.0 / (1.0 + np.exp(-logits))


def grow(binned: BinnedRows, labels: np.ndarray, growth: Growth, seed: int) -> Trees:
    """Boost trees on the log-loss of (n,) 0/1 labels of both classes; the seed draws samples."""
    target = np.ascontiguousarray(labels, dtype=np.float32)
    share = float(target.mean())
    base = float(np.log(share / (1.0 - share)))
    n_nodes = 2 ** (growth.max_depth + 1) - 1
    columns = np.full((growth.n_estimators, n_nodes), LEAF, dtype=np.int32)
    thresholds = np.zeros((growth.n_estimators, n_nodes), dtype=np.float32)
    values = np.zeros((growth.n_estimators, n_nodes), dtype=np.float32)
    # The largest power of two whose sums over all rows stay within 32 bits.
    scale = 2.0 ** (FIXED_POINT_BITS - int(np.ceil(np.log2(len(target)))))
    penalty = scale * np.array([growth.reg_alpha, growth.reg_lambda, growth.min_child_weight])
    _boost(
        binned.codes,
        binned.cuts,
        binned.n_bins,
        target,
        np.float32(base),
        np.float32(scale),
        penalty.astype(np.float32),
        np.float32(growth.learning_rate),
        float(growth.subsample),
        max(1, int(growth.colsample_bytree * len(binned.cuts))),
        np.array([seed], dtype=np.uint64),
        columns,
        thresholds,
        values,
    )
    return Trees(columns, thresholds, values, base)


@njit(cache=True, nogil=True)
def _walk(rows, columns, thresholds, values, base):
    """Logits (m,) float32 of float32 rows."""
    logits = np.full(len(rows), base, dtype=np.float32)
    for tree in range(len(columns)):
        if columns[tree, 0] < 0:
            for i in range(len(rows)):
                logits[i] += values[tree, 0]
            continue
        for i in range(len(rows)):
            node = 0
            while columns[tree, node] >= 0:
                below = rows[i, columns[tree, node]] < thresholds[tree, node]
                node = 2 * node + (1 if below else 2)
            logits[i] += values[tree, node]
    return logits


@njit(cache=True, nogil=True)
def _boost(
    codes, all_cuts, n_bins, target, base, scale, penalty, eta, share, n_kept, state, columns,
    thresholds, values,
):  # fmt: skip
    """Grow all trees of an ensemble into `columns`, `thresholds` and `values`.

    `scale` is the fixed point of (3,) float32 `penalty`, which holds alpha, lambda and the least
    weight; `share` is the chance of a row, `n_kept` the number of columns sampled, `state` (1,)
    uint64 the seed.
    """
    n_rows, n_nodes = len(target), columns.shape[1]
    logits = np.full(n_rows, base, dtype=np.float32)
    packed = np.empty(n_rows, dtype=np.int64)
    kept = np.zeros((len(codes), LANES), dtype=np.bool_)
    rows, scratch = np.empty(n_rows, dtype=np.int64), np.empty(n_rows, dtype=np.int64)
    spans = np.empty((n_nodes, 2), dtype=np.int64)
    sums = np.empty((n_nodes, 2), dtype=np.int32)
    best = np.empty((n_nodes, 3), dtype=np.float64)
    cuts = np.zeros(n_nodes, dtype=np.int32)
    for tree in range(len(columns)):
        _derivatives(logits, target, scale, packed)
        n_sampled = _sample_rows(share, state, rows)
        _sample_columns(n_kept, len(all_cuts), state, kept)
        _grow_tree(
            codes, n_bins, kept, rows[:n_sampled], scratch, packed, scale, penalty, spans, sums,
            best, columns[tree], cuts,
        )  # fmt: skip
        _leaf_values(columns[tree], sums, penalty, eta, values[tree])
        for node in range(n_nodes):
            if columns[tree, node] >= 0:
                thresholds[tree, node] = all_cuts[columns[tree, node], cuts[node]]
        _add_leaves(codes, columns[tree], cuts, values[tree], logits)


@njit(cache=True, nogil=True, error_model="numpy")
def _derivatives(logits, target, scale, packed):
    """Both derivatives of the loss in fixed point: the first in the high half of `packed`."""
    for i in range(len(logits)):
        chance = np.float32(1.0) / (np.float32(1.0) + np.exp(-logits[i]))
        curvature = chance * (np.float32(1.0) - chance)
        packed[i] = (np.int64(np.rint((chance - target[i]) * scale)) << 32) + np.int64(
            np.rint(curvature * scale)
        )


@njit(cache=True, nogil=True)
def _uniform(state):
    """A number in [0, 1) from the SplitMix64 generator with the (1,) uint64 `state`."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def _sample_rows(share, state, rows):
    """Keep every row with the given chance; returns how many of `rows` are filled."""
    n_kept = 0
    for i in range(len(rows)):
        rows[n_kept] = i
        n_kept += 1 if share >= 1.0 or _uniform(state) < share else 0
    return n_kept


@njit(cache=True, nogil=True)
def _sample_columns(n_kept, n_columns, state, kept):
    """Mark `n_kept` of the columns in (n_blocks, 16) `kept`, all choices equally likely."""
    kept[:] = False
    left = n_kept
    for j in range(n_columns):
        if left == n_columns - j or _uniform(state) * (n_columns - j) < left:
            kept[j // LANES, j % LANES] = True
            left -= 1


@njit(cache=True, nogil=True, error_model="numpy")
def _grow_tree(
    codes, n_bins, kept, rows, scratch, packed, scale, penalty, spans, sums, best, columns, cuts
):  # fmt: skip
    """Grow one tree, level by level; writes columns, cuts and sums of its nodes."""
    columns[:] = LEAF
    spans[0, 0], spans[0, 1] = 0, len(rows)
    _sum_up(packed, rows, sums[0])
    n_inner = len(columns) // 2
    open_nodes, able = np.zeros(n_inner + 1, np.int64), np.zeros(n_inner + 1, np.int64)
    n_open = 1
    while n_open > 0:
        n_able = 0
        for node in open_nodes[:n_open]:
            if node < n_inner and sums[node, 1] >= 2.0 * penalty[2]:
                able[n_able] = node
                n_able += 1
        best_splits(codes, n_bins, kept, rows, packed, able[:n_able], spans, sums, penalty, best)
        n_open = 0
        for position in range(n_able):
            node = able[position]
            own = node_gain(sums[node, 0], sums[node, 1], penalty)
            if best[node, 0] - own <= MIN_GAIN * scale:
                continue
            column = np.int64(best[node, 1])
            columns[node], cuts[node] = column, np.int32(best[node, 2])
            start, stop = spans[node, 0], spans[node, 1]
            lane = codes[column // LANES, :, column % LANES]
            middle = _divide(lane, rows, scratch, start, stop, cuts[node])
            first, second = 2 * node + 1, 2 * node + 2
            spans[first, 0], spans[first, 1] = start, middle
            spans[second, 0], spans[second, 1] = middle, stop
            _sum_up(packed, rows[start:middle], sums[first])
            sums[second, 0] = sums[node, 0] - sums[first, 0]
            sums[second, 1] = sums[node, 1] - sums[first, 1]
            open_nodes[n_open], open_nodes[n_open + 1] = first, second
            n_open += 2


@njit(cache=True, nogil=True)
def _divide(codes, rows, scratch, start, stop, cut):
    """Reorder rows[start:stop] so that those with a code (n,) up to `cut` come first."""
    n_first, n_second = start, 0
    for position in range(start, stop):
        row = rows[position]
        if codes[row] <= cut:
            rows[n_first] = row
            n_first += 1
        else:
            scratch[n_second] = row
            n_second += 1
    # A loop: assigning one slice to another takes seconds to compile.
    for position in range(n_second):
        rows[n_first + position] = scratch[position]
    return n_first


@njit(cache=True, nogil=True)
def _sum_up(packed, rows, sums):
    """Add the derivatives of some rows up: (first, second) into `sums`."""
    total = np.int64(0)
    for row in rows:
        total += packed[row]
    sums[0] = total >> 32
    sums[1] = total & LOW_HALF


@njit(cache=True, nogil=True, error_model="numpy")
def _leaf_values(columns, sums, penalty, eta, values):
    """The shrunken Newton step of every node, 0 below the least weight."""
    for node in range(len(columns)):
        slope, curvature = np.float32(sums[node, 0]), np.float32(sums[node, 1])
        values[node] = np.float32(0.0)
        if curvature >= penalty[2] and curvature > np.float32(0.0):
            shrunk = max(abs(slope) - penalty[0], np.float32(0.0)) / (curvature + penalty[1])
            values[node] = -eta * shrunk if slope > np.float32(0.0) else eta * shrunk


@njit(cache=True, nogil=True)
def _add_leaves(codes, columns, cuts, values, logits):
    """Send every training row, sampled or not, down the tree and add its leaf's value."""
    for i in range(len(logits)):
        node = 0
        while columns[node] >= 0:
            code = codes[columns[node] // LANES, i, columns[node] % LANES]
            node = 2 * node + (1 if code <= cuts[node] else 2)
        logits[i] += values[node]
