"""Which ids of two maps meet, and on how many pixels: the inner loop of every panoptic metric.

Segments are blobs, so the two maps, read row after row, consist of far fewer runs of equal pairs than of pixels. Only
the runs are sorted.
"""

import numpy as np

from unipan.arrays import Int32, Int64, Integer
from unipan.panoptic.runs import MAX_ID, runs

_LONGEST = (1 << 16) - 1
_MOST_CELLS = 1 << 18  # a table of more pairs takes longer to clear than the runs to sort
_HASH_BITS = 15
_MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F, 0x165667B1)  # odd, without a pattern in their bits

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


def count_known_pairs(
    one: Int32[np.ndarray, "H W"],
    other: Int32[np.ndarray, "H W"],
    known: Int64[np.ndarray, " K"],
    other_known: Int64[np.ndarray, " L"],
) -> PairCounts:
    """`count_pairs` of maps whose ids are known, in half the time: nothing is sorted.

    Returns:
        The `positions` of the ids of `one` and `other`, and the pixels of each pair; sorted, no pair twice.
    """
    starts, lengths = runs(one, other)
    width = len(other_known) + 2
    cells = positions(one.reshape(-1).take(starts), known) * width
    cells += positions(other.reshape(-1).take(starts), other_known)
    if width * (len(known) + 2) > _MOST_CELLS:
        pairs, cells = np.unique(cells, return_inverse=True)
        pixels = np.bincount(cells, weights=lengths, minlength=len(pairs))
    else:
        counted = np.bincount(cells, weights=lengths)
        pairs = np.flatnonzero(counted)
        pixels = counted[pairs]
    return *np.divmod(pairs, width), pixels.astype(np.int64)


def positions(ids: Integer[np.ndarray, " N"], known: Int64[np.ndarray, " K"]) -> Int64[np.ndarray, " N"]:
    """Where each id stands in `known`; void (0) is one beyond the last, an id that is not there two beyond.

    Each id is looked up in a table by a hash that keeps the known ids apart, which is found by trial: with 200 of them
    every other multiplier will do.
    """
    every = np.append(known, 0)
    numbers, table = np.arange(len(every)), np.zeros(1 << _HASH_BITS, np.int64)
    for multiplier in _MULTIPLIERS:
        places = _hashed(every, multiplier)
        table[places] = numbers
        if np.array_equal(table[places], numbers):
            found = table.take(_hashed(ids, multiplier))
            break
    else:
        order = np.argsort(every)
        found = order[np.searchsorted(every, ids, sorter=order).clip(max=len(known))]
    return np.where(every.take(found) == ids, found, len(known) + 1)


def _hashed(ids: Integer[np.ndarray, " N"], multiplier: int) -> Integer[np.ndarray, " N"]:
    """Multiplicative hashing (Knuth, The Art of Computer Programming 3, Sec. 6.4)."""
    product = ids.astype(np.uint32) * np.uint32(multiplier)
    return np.asarray(product >> np.uint32(32 - _HASH_BITS))
