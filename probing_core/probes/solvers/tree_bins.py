"""Rows cut into bins at XGBoost's quantiles, stored for trees that scan sixteen columns at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

LANES = 16
MAX_BINS = 256
CHUNK = 32 * LANES


@dataclass(frozen=True)
class BinnedRows:
    """Training rows cut into bins, columns in blocks of 16; the last block is padded.

    Attributes:
        codes: (n_blocks, n, 16) uint8, the bin of every row and column.
        cuts: (n_columns, 256) float32, rising, then infinite; a value's bin is the number of cuts
            at or below it.
        n_bins: (n_blocks,) int64, the most bins a column of the block has.
    """

    codes: np.ndarray
    cuts: np.ndarray
    n_bins: np.ndarray


def bin_rows(rows: np.ndarray) -> BinnedRows:
    """Cut every column at XGBoost's 256 quantiles, or at each distinct value where these are few.

    Args:
        rows: (n, n_columns) float32, finite.

    Returns:
        The bins, identical to XGBoost's up to about 2,000 rows; beyond, its sketch approximates
        the quantiles taken here. At most 512 columns are sorted at a time, to bound the memory.
    """
    n_rows, n_columns = rows.shape
    n_blocks = -(-n_columns // LANES)
    codes = np.zeros((n_blocks, n_rows, LANES), dtype=np.uint8)
    cuts = np.full((n_columns, MAX_BINS), np.inf, dtype=np.float32)
    n_bins = np.ones(n_blocks, dtype=np.int64)
    for start in range(0, n_columns, CHUNK):
        columns = np.ascontiguousarray(rows[:, start : start + CHUNK].T, dtype=np.float32)
        order = np.argsort(columns, axis=1)
        _cut_columns(columns, order, start, codes, cuts, n_bins)
    return BinnedRows(codes, cuts, n_bins)


@njit(cache=True, nogil=True)
def _distinct_ends(values, order, ends):
    """Fill `ends` with the place after each distinct value in sorted order; returns how many."""
    n_distinct = 0
    for position in range(values.size):
        last = position + 1 == values.size
        if last or values[order[position + 1]] != values[order[position]]:
            ends[n_distinct] = position + 1
            n_distinct += 1
    return n_distinct


@njit(cache=True, nogil=True)
def _cut(values, order, ends, n_distinct, cuts):
    """Write the cuts of one column; returns how many.

    They are those of XGBoost's quantile sketch while it holds every row: a summary of 257 of the
    distinct values at even ranks, without the smallest, and at most 255 of them.
    """
    n_cuts, last, i = 0, 0, 1
    span = ends[max(n_distinct - 2, 0)] - ends[0]
    for k in range(1, min(n_distinct, MAX_BINS)):
        picked = k
        if n_distinct > MAX_BINS + 1:
            # Both sides are twice a rank, as in the sketch, so that ties round the same way.
            rank = 2.0 * (k * span / MAX_BINS + ends[0])
            while i < n_distinct - 1 and rank >= ends[i] + ends[i + 1]:
                i += 1
            picked = i if rank < 2.0 * ends[i] or i == n_distinct - 1 else i + 1
        if picked != last:
            cuts[n_cuts] = values[order[ends[picked - 1]]]
            n_cuts += 1
            last = picked
    if n_cuts < MAX_BINS - 1 and last < n_distinct - 1:
        cuts[n_cuts] = values[order[values.size - 1]]
        n_cuts += 1
    return n_cuts


@njit(cache=True, nogil=True)
def _cut_columns(columns, order, first, codes, cuts, n_bins):
    """Cuts and codes of some columns, given (n_some, n_rows) with the order of every column."""
    n_some, n_rows = columns.shape
    ends = np.empty(n_rows, dtype=np.int64)
    for j in range(n_some):
        column = first + j
        block, lane = column // LANES, column % LANES
        n_distinct = _distinct_ends(columns[j], order[j], ends)
        n_cuts = _cut(columns[j], order[j], ends, n_distinct, cuts[column])
        code = 0
        for row in order[j]:
            while code < n_cuts and columns[j, row] >= cuts[column, code]:
                code += 1
            codes[block, row, lane] = code
        n_bins[block] = max(n_bins[block], n_cuts + 1)
