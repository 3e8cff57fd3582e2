"""Prompts that repeat: letter for letter, case and white space aside, or nearly.

Two prompts are near each other if the sets of five-byte shingles of their normalised beginnings
have a Jaccard similarity of at least `THRESHOLD`. MinHash finds the pairs to compare, so one at
the threshold is overlooked in 0.8 % of cases (`_BANDS`), one at 0.9 practically never. Of short
prompts, such as names, one letter makes another one, so these are near none.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Level = Literal["exact", "normalised", "near"]
THRESHOLD = 0.8
READ = 2000
"""Characters of a prompt that are compared with others."""
SHORT = 20
"""Shingles, a few more bytes, below which a prompt is near no other."""
_SHINGLE = 5
_BANDS, _ROWS = 16, 6
_NEXT = 4
"""How many of those that follow it in its bucket a prompt is compared with."""


def normalised(prompt: str) -> str:
    """A prompt without differences in case and white space."""
    return " ".join(prompt.split()).casefold()


def find_groups(prompts: Sequence[str], level: Level) -> np.ndarray:
    """The group of repeated prompts that each is in, (n,) int64; a coarser level joins groups.

    A chain of near prompts is one group.
    """
    texts = list(prompts) if level == "exact" else [normalised(one) for one in prompts]
    seen: dict[str, int] = {}
    groups = np.array([seen.setdefault(text, len(seen)) for text in texts], dtype=np.int64)
    return groups if level != "near" else _near(list(seen))[groups]


def _near(texts: Sequence[str]) -> np.ndarray:
    """The group of each of (n,) distinct texts."""
    shingles = [_shingles(text) for text in texts]
    signatures = _minhash(shingles)
    pairs = []
    for band in np.split(signatures, _BANDS):
        bucket = np.unique(band, axis=1, return_inverse=True)[1].ravel()
        order = np.argsort(bucket, kind="stable")
        for step in range(1, _NEXT + 1):
            same = bucket[order[step:]] == bucket[order[:-step]]
            pairs.append(np.stack([order[:-step][same], order[step:][same]]))
    found = np.unique(np.concatenate(pairs, axis=1), axis=1)
    close = [_jaccard(shingles[a], shingles[b]) >= THRESHOLD for a, b in found.T]
    first, second = found[:, np.array(close, dtype=bool)]
    edges = coo_array((np.ones(len(first)), (first, second)), shape=(len(texts),) * 2)
    return connected_components(edges, directed=False)[1].astype(np.int64)


def _shingles(text: str) -> np.ndarray:
    """The distinct runs of five bytes of a text's beginning, as (s,) uint64 numbers, sorted."""
    data = text[:READ].encode("utf-8", "surrogatepass").ljust(_SHINGLE)
    runs = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), _SHINGLE)
    return np.unique(runs @ (np.uint64(256) ** np.arange(_SHINGLE, dtype=np.uint64)))


def _minhash(shingles: Sequence[np.ndarray]) -> np.ndarray:
    """The least hash of each text's shingles under 96 hashes: (96, n) uint32."""
    starts = np.cumsum([0, *map(len, shingles)])[:-1]
    mixed = np.concatenate(shingles) * np.uint64(0x9E3779B97F4A7C15)
    every = (mixed >> np.uint64(32)).astype(np.uint32)
    odd = np.random.default_rng(0).integers(2**31, size=_BANDS * _ROWS, dtype=np.uint32) * 2 + 1
    return np.stack([np.minimum.reduceat(every * factor, starts) for factor in odd])


def _jaccard(first: np.ndarray, second: np.ndarray) -> float:
    if min(len(first), len(second)) < SHORT:
        return 0.0
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)
