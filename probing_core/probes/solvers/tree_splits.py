"""The best split of each node of a tree, from histograms of sixteen columns at a time.

Sums of first (slope) and second derivatives (curvature) are int32, and `penalty` is (3,) float32:
alpha, lambda and the least weight of a child. All are in the fixed point of `trees`, gains too.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from probing_core.probes.solvers.tree_bins import LANES, MAX_BINS


@njit(cache=True, nogil=True, error_model="numpy")
def node_gain(slope, curvature, penalty):
    """What a node earns unsplit: its shrunken slope squared over its penalised curvature."""
    shrunk = max(abs(np.float32(slope)) - penalty[0], np.float32(0.0))
    return shrunk * shrunk / (np.float32(curvature) + penalty[1])


@njit(cache=True, nogil=True)
def best_splits(codes, n_bins, kept, rows, packed, open_nodes, spans, sums, penalty, best):
    """Find the best cut of every open node, block by block of columns.

    Equal gains keep the first column and the lowest cut, as XGBoost does.

    Args:
        codes: (n_blocks, n, 16) uint8.
        n_bins: (n_blocks,) int64.
        kept: (n_blocks, 16) bool, the sampled columns.
        rows: (n_sampled,) int64, each node's rows next to each other.
        packed: (n,) int64, first derivative in the high half and second in the low one.
        open_nodes: (n_open,) int64.
        spans: (n_nodes, 2) int64; node i holds rows[spans[i, 0] : spans[i, 1]].
        sums: (n_nodes, 2) int32, first and second derivatives of a node.
        penalty: See above.
        best: (n_nodes, 3) float64, written: gain without the parent's share, column, cut.
    """
    histogram = np.empty((MAX_BINS, LANES), dtype=np.int64)
    halves = histogram.view(np.int32)
    below_g, below_h = np.empty(LANES, dtype=np.int32), np.empty(LANES, dtype=np.int32)
    gains, cuts = np.empty(LANES, dtype=np.float32), np.empty(LANES, dtype=np.int32)
    for node in open_nodes:
        best[node, 0] = 0.0
    for block in range(len(codes)):
        for node in open_nodes:
            members = rows[spans[node, 0] : spans[node, 1]]
            _fill(codes[block], members, packed, n_bins[block], histogram)
            slope, curvature = sums[node, 0], sums[node, 1]
            _scan(halves, n_bins[block], slope, curvature, penalty, below_g, below_h, gains, cuts)
            for lane in range(LANES):
                if gains[lane] > best[node, 0] and kept[block, lane]:
                    best[node, 0] = gains[lane]
                    best[node, 1] = block * LANES + lane
                    best[node, 2] = cuts[lane]


@njit(cache=True, nogil=True)
def _fill(codes, rows, packed, n_bins, histogram):
    """Sum the derivatives of some rows in every bin of a block's (n, 16) codes."""
    histogram[:n_bins] = 0
    for row in rows:
        value = packed[row]
        for lane in range(LANES):
            histogram[codes[row, lane], lane] += value


@njit(cache=True, nogil=True, error_model="numpy")
def _scan(halves, n_bins, slope, curvature, penalty, below_g, below_h, gains, cuts):
    """The best cut of each of a block's 16 columns: its gain without the parent's share.

    `halves` (256, 32) int32 is the histogram, second derivatives in even places. The last four
    arrays, (16,), are written; separate arrays let the lanes vectorise, and two cuts a turn halve
    the wait for what the last turn stored.
    """
    alpha, ridge, least = penalty[0], penalty[1], penalty[2]
    below_g[:] = 0
    below_h[:] = 0
    gains[:] = np.float32(-1.0)
    cuts[:] = 0
    for b in range(0, n_bins - 1, 2):
        for lane in range(LANES):
            h = np.int32(below_h[lane] + halves[b, 2 * lane])
            g = np.int32(below_g[lane] + halves[b, 2 * lane + 1])
            first = _cut_gain(g, h, slope, curvature, alpha, ridge, least)
            h = np.int32(h + halves[b + 1, 2 * lane])
            g = np.int32(g + halves[b + 1, 2 * lane + 1])
            second = _cut_gain(g, h, slope, curvature, alpha, ridge, least)
            below_h[lane] = h
            below_g[lane] = g
            gain, cut = gains[lane], cuts[lane]
            cut = np.int32(b) if first > gain else cut
            gain = first if first > gain else gain
            cut = np.int32(b + 1) if second > gain else cut
            gain = second if second > gain else gain
            gains[lane] = gain
            cuts[lane] = cut


@njit(error_model="numpy")
def _cut_gain(g, h, slope, curvature, alpha, ridge, least):
    """Gain of one cut from its left side's sums; -1 where a side weighs less than `least`."""
    zero = np.float32(0.0)
    h_left, h_right = np.float32(h), np.float32(np.int32(curvature - h))
    g_left = max(abs(np.float32(g)) - alpha, zero)
    g_right = max(abs(np.float32(np.int32(slope - g))) - alpha, zero)
    left, right = h_left + ridge, h_right + ridge
    gain = (g_left * g_left * right + g_right * g_right * left) / (left * right)
    return gain if (h_left >= least) & (h_right >= least) else np.float32(-1.0)
