"""Which ids of two maps meet, and on how many pixels: the inner loop of every panoptic metric.

Segments are blobs, so the two maps, read row after row, consist of far fewer runs of equal pairs than of pixels. Only
the runs are sorted.
"""

import numpy as np

from unipan.arrays import Int32, Int64
from unipan.panoptic.runs import MAX_ID, runs

_LONGEST = (1 << 16) - 1

PairCounts = tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]


def count_pairs(one: Int32[np.ndarray, "H W"], other: Int32[np.ndarray, "I J"]) -> PairCounts:
    """Count the pixels of every pair of ids that meets.

    Args:
        one, other: ids in 0..2^24 - 1.

    Returns:
        The ids of `one`, those of `other`, and the pixels of each pair; sorted by ids, no pair twice.

    Raises:
        ValueError: the maps differ in size, or an id lies outside 0..2^24 - 1.
    """
    if one.shape != other.shape:
        raise ValueError(f"pair counts: one map is {one.shape}, the other {other.shape}")
    starts, lengths = runs(one, other, longest=_LONGEST)
    ids, other_ids = (values.reshape(-1)[starts].astype(np.int64) for values in (one, other))
    if ids.size and (ids | other_ids).view(np.uint64).max() > MAX_ID:
        found = np.concatenate([ids, other_ids])
        raise ValueError(
            f"segment ids run from 0 (void) to {MAX_ID}, found {found.min()}..{found.max()}; renumber them"
        )
    # One number holds both ids (24 bits each) and the length (16 bits): sorting numbers is faster than sorting indices.
    packed = (ids.view(np.uint64) << 40) | (other_ids.view(np.uint64) << 16) | lengths.view(np.uint64)
    packed.sort()
    pairs = (packed >> 16).view(np.int64)
    begins = np.ones(len(pairs), bool)
    np.not_equal(pairs[1:], pairs[:-1], out=begins[1:])
    first = np.flatnonzero(begins)
    packed &= np.uint64(_LONGEST)
    pixels = np.add.reduceat(packed, first).view(np.int64) if len(first) else lengths
    return pairs[first] >> 24, pairs[first] & MAX_ID, pixels


def positions(ids: Int64[np.ndarray, " N"], known: Int64[np.ndarray, " K"]) -> Int64[np.ndarray, " N"]:
    """Where each id stands in `known`; void (0) is one beyond the last, an id that is not there two beyond."""
    every = np.append(known, 0)
    order = np.argsort(every)
    found = order[np.searchsorted(every, ids, sorter=order).clip(max=len(known))]
    return np.where(every[found] == ids, found, len(known) + 1)
