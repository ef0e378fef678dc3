"""Runs of equal pixels: the one pass behind areas, boxes, masks and the pair counts of every metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unipan.arrays import Bool, Int64, Integer

MAX_ID = 256**3 - 1
"""The largest id that a panoptic PNG holds (R + 256 G + 65536 B)."""

_FEW = 1 << 16  # up to this many look-ups, a search is faster than a table over all ids, whose pages must be cleared


def runs(
    *maps: Integer[np.ndarray, "H W"], longest: int | None = None
) -> tuple[Int64[np.ndarray, " R"], Int64[np.ndarray, " R"]]:
    """Cut maps of one size, read row after row, where any of them changes.

    Args:
        maps: at least one.
        longest: cut after every so many pixels, too; a map's width cuts at the end of each row.

    Returns:
        The flat index at which each run starts, and its length. Segments are blobs, so there are far fewer runs
        than pixels: this is why counting them beats sorting the pixels (np.unique) by an order of magnitude.
    """
    height, width = maps[0].shape
    if height * width == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cut = np.empty(height * width, bool)
    first, *others = (values.reshape(-1) for values in maps)
    np.not_equal(first[1:], first[:-1], out=cut[1:])
    for flat in others:
        cut[1:] |= flat[1:] != flat[:-1]
    cut[:: longest or height * width] = True
    starts = np.flatnonzero(cut).astype(np.int64, copy=False)
    lengths = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])  # np.diff with its `append` takes three times as long
    lengths[-1] = height * width - starts[-1]
    return starts, lengths


def rows_of_ids(values: Integer[np.ndarray, " R"], known: Sequence[int], source: str) -> Int64[np.ndarray, " R"]:
    """For each id its position in `known`, and len(known) for void (0).

    Raises:
        ValueError: an id is not in `known`, or outside 0..MAX_ID.
    """
    if values.size and (values.min() < 0 or values.max() > MAX_ID):
        raise ValueError(f"{source}: segment ids run from 0 (void) to {MAX_ID}, found {values.min()}..{values.max()}")
    ids = np.array([*known, 0], np.int32)
    order = np.argsort(ids)
    rows: Int64[np.ndarray, " R"]
    if values.size < _FEW:
        rows = order[np.searchsorted(ids, values, sorter=order).clip(max=len(known))]
    else:
        # Any cell will do for a stray id: the comparison below finds it.
        table = np.zeros(max(int(values.max()), int(ids.max())) + 1, np.int32)
        table[ids] = np.arange(len(ids))
        rows = table[values].astype(np.int64)
    stray = ids[rows] != values
    if stray.any():
        found = int(values[stray][0])
        raise ValueError(f"{source}: id {found} has pixels but no segment is declared for it; declare it or paint it 0")
    return rows


def encode_rle(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """One mask in COCO's uncompressed run-length encoding (column by column, zeros first)."""
    return rles_of_ids(mask.astype(np.int32), [1])[0]


def rles_of_ids(ids: Integer[np.ndarray, "H W"], wanted: Sequence[int]) -> list[dict[str, Any]]:
    """COCO's uncompressed run-length encoding of several segments, in one pass over the map.

    Returns:
        Per wanted id `{"size": [H, W], "counts": [...]}`; pycocotools and its successors read it.
    """
    height, width = ids.shape
    columns = ids.T.reshape(-1)
    starts, lengths = runs(columns.reshape(1, -1))
    owner = columns[starts]
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], wanted, side="left")
    last = np.searchsorted(owner[order], wanted, side="right")
    encoded = []
    for begin, end in zip(first, last, strict=True):
        mine = order[begin:end]
        # Alternate "off until here" and "on until here", then turn positions into lengths.
        edges = np.stack([starts[mine], starts[mine] + lengths[mine]], axis=1).reshape(-1)
        counts = np.diff(edges, prepend=0, append=height * width)
        encoded.append({"size": [height, width], "counts": counts.tolist()})
    return encoded
