"""Which ids of two pictures meet, and on how many pixels: the inner loop of every panoptic metric.

Label maps are blobs, so blocks of rows are cut into runs of equal pairs; in a noisy block every pixel is a run. Runs
become 64-bit numbers (id, other id, length), and one sort brings equal pairs together: numpy sorts numbers with the
processor's vector instructions, faster than it looks them up. Other threads run meanwhile.
"""

import cv2
import numpy as np

from unipan.arrays import Int32, Int64, UInt8
from unipan.panoptic.inflated import Inflated, has_loops, pixels_of
from unipan.panoptic.runs import MAX_ID

_BLOCK = 1 << 16  # pixels: a run's length fits 16 bits, a block the cache, and opencv starts no threads of its own
_FEW_RUNS = 0.2  # of the pixels; above, taking every pixel as a run is faster than cutting
_CELLS = 1 << 20  # pairs that may meet; with more, clearing a table of all of them takes longer than sorting
_LENGTH = np.uint64((1 << 16) - 1)


def count_pairs(
    one: Int32[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"],
    other: Int32[np.ndarray, "I J"] | UInt8[np.ndarray, "I J 3"],
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Count the pixels of every pair of ids that meets.

    Args:
        one, other: ids in 0..2^24 - 1, or the red, green and blue of a PNG that holds them.

    Returns:
        The ids of `one`, those of `other`, and the pixels of each pair; sorted by ids.

    Raises:
        ValueError: the pictures differ in size, or an id lies outside 0..2^24 - 1.
    """
    if one.shape[:2] != other.shape[:2]:
        raise ValueError(f"pair counts: one picture is {one.shape[:2]}, the other {other.shape[:2]}")
    for picture in (one, other):
        if picture.ndim == 2 and picture.size and (picture.min() < 0 or picture.max() > MAX_ID):
            raise ValueError(
                f"segment ids run from 0 (void) to {MAX_ID}, found {picture.min()}..{picture.max()}; renumber them"
            )
    height, width = one.shape[:2]
    if height * width == 0:
        return (np.zeros(0, np.int64),) * 3
    if one.dtype == other.dtype == np.uint8 and has_loops():
        return _summed(_runs_by_loop(np.ascontiguousarray(one), np.ascontiguousarray(other)))
    step, room = max(1, _BLOCK // width), _Room(min(max(_BLOCK, width), height * width))
    parts = []
    for top in range(0, height, step):
        for left in range(0, width, _BLOCK):  # more than one only in pictures wider than a block
            area = np.s_[top : top + step, left : left + _BLOCK]
            parts.append(_runs(room.flat(one[area], 0), room.flat(other[area], 1), room))
    return _summed(np.concatenate(parts))


def count_known(
    one: UInt8[np.ndarray, "H W 3"] | Inflated,
    other: UInt8[np.ndarray, "I J 3"] | Int32[np.ndarray, "I J"] | Inflated,
    ids: Int64[np.ndarray, " N"],
    other_ids: Int64[np.ndarray, " M"],
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """As `count_pairs`, for two pictures of whose ids only some are of interest.

    Args:
        one, other: from `read_channels`, or ids; the filters of inflated ones are rewritten.
        ids, other_ids: of interest, none of them twice or 0.

    Returns:
        Positions among `ids` and among `other_ids`, and the pixels of each pair. Void (0) is one beyond the last, any
        other id two beyond. Sorted by positions, none twice.

    Raises:
        ValueError: the pictures differ in size.
    """
    cells = (len(ids) + 2) * (len(other_ids) + 2)
    if isinstance(one, Inflated) and isinstance(other, Inflated) and one.shape == other.shape and cells <= _CELLS:
        from unipan.panoptic.loops import count_filtered

        rows, columns, pixels = count_filtered(one.raw, other.raw, one.width, ids, other_ids)
        return rows, columns, pixels
    counted = count_pairs(pixels_of(one), pixels_of(other))
    cell = positions(counted[0], ids) * (len(other_ids) + 2) + positions(counted[1], other_ids)
    found, owner = np.unique(cell, return_inverse=True)
    pixels = np.zeros(len(found), np.int64)
    np.add.at(pixels, owner, counted[2])
    return *np.divmod(found, len(other_ids) + 2), pixels


def positions(ids: Int64[np.ndarray, " N"], known: Int64[np.ndarray, " K"]) -> Int64[np.ndarray, " N"]:
    """Where each id stands in `known`; void (0) one beyond the last, an id that is not there two beyond."""
    every = np.append(known, 0)
    order = np.argsort(every)
    found = order[np.searchsorted(every, ids, sorter=order).clip(max=len(known))]
    return np.where(every[found] == ids, found, len(known) + 1)


def _runs_by_loop(one: UInt8[np.ndarray, "H W 3"], other: UInt8[np.ndarray, "H W 3"]) -> np.ndarray:
    from unipan.panoptic.loops import cut_runs

    runs = np.empty(one.size // 3, np.uint64)
    return runs[: cut_runs(one.reshape(-1), other.reshape(-1), runs)]


class _Room:
    """Memory for one block, used again for the next: new memory costs more than what is done with it."""

    def __init__(self, pixels: int) -> None:
        self.pictures = np.empty((2, pixels, 4), np.uint8)
        self.changes = np.empty((2, pixels), bool)

    def flat(self, block: np.ndarray, picture: int) -> np.ndarray:
        """One number per pixel; from a PNG the fourth byte is 255 and must be ignored."""
        if block.ndim == 2:
            return block.reshape(-1).view(np.uint32)
        height, width, _ = block.shape
        pixels = self.pictures[picture, : height * width].reshape(height, width, 4)
        cv2.cvtColor(block, cv2.COLOR_RGB2RGBA, dst=pixels)
        return pixels.view("<u4").reshape(-1)


def _runs(one: np.ndarray, other: np.ndarray, room: _Room) -> np.ndarray:
    """The runs of a block: `one`'s id in the highest 24 bits, `other`'s, and the length less one in the lowest 16.

    In a noisy block the pixels are sorted first, so that there are few.
    """
    changes, more = room.changes[:, : one.size - 1]
    np.not_equal(one[1:], one[:-1], out=changes)
    np.not_equal(other[1:], other[:-1], out=more)
    changes |= more
    noisy = np.count_nonzero(changes) > _FEW_RUNS * one.size
    if noisy:
        pixels = _packed(one, other)
        pixels.sort()
        np.not_equal(pixels[1:], pixels[:-1], out=changes)
    inner = np.flatnonzero(changes)
    edges = np.empty(len(inner) + 2, np.int64)
    edges[0], edges[1:-1], edges[-1] = -1, inner, one.size - 1
    starts = edges[:-1] + 1
    packed = pixels[starts] if noisy else _packed(one[starts], other[starts])
    packed += (edges[1:] - starts).view(np.uint64)
    return packed


def _packed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    packed = one.astype(np.uint64)
    packed <<= np.uint64(40)  # the fourth byte falls out
    low = (other & np.uint32(MAX_ID)).astype(np.uint64)
    low <<= np.uint64(16)
    packed |= low
    return packed


def _summed(
    runs: np.ndarray,
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Each pair once."""
    runs.sort()
    pairs = runs >> np.uint64(16)
    starts = np.concatenate([[0], np.flatnonzero(pairs[1:] != pairs[:-1]) + 1])
    runs &= _LENGTH
    pixels = np.diff(starts, append=len(runs)) + np.add.reduceat(runs, starts).view(np.int64)
    found = pairs[starts].view(np.int64)
    return found >> 24, found & MAX_ID, pixels
