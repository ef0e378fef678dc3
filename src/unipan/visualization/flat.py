"""Panoptic maps as flat pictures of a few colours: the segments, or what is wrong with them. Needs numpy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unipan.arrays import Bool, Int32, Int64, Integer, UInt8
from unipan.panoptic.maps import VOID_ID, PanopticMap
from unipan.panoptic.pair_counts import positions
from unipan.panoptic.runs import runs
from unipan.visualization.palette import Color, segment_colors

Picture = UInt8[np.ndarray, "H W 3"]

BLACK: Color = (0, 0, 0)
CORRECT: Color = (222, 219, 212)
OUTLINE: Color = (158, 153, 143)
ERROR_COLORS: dict[str, Color] = {
    "false negative": (201, 72, 91),
    "false positive": (63, 120, 181),
    "outline error": (232, 176, 84),
    "not counted": (40, 40, 40),
}
"""The legend of `error_map`; every other pixel is correct and grey."""


@dataclass(frozen=True)
class IndexedPicture:
    """A picture of few colours.

    Attributes:
        index: row of the palette for each pixel.
        palette: RGB.
    """

    index: Integer[np.ndarray, "H W"]
    palette: UInt8[np.ndarray, "N 3"]

    def rgb(self) -> Picture:
        """The same picture with its colours written out."""
        return np.asarray(self.palette.take(self.index, axis=0), np.uint8)


def segment_index(ids: Int32[np.ndarray, "H W"], known: Sequence[int]) -> Integer[np.ndarray, "H W"]:
    """For each pixel 1 + the position of its id in `known`; 0 for void and any other id."""
    starts, lengths = runs(ids)
    index = 1 + positions(ids.reshape(-1).take(starts), np.array(known, np.int64))
    index[index > len(known)] = 0
    return np.repeat(index.astype(np.uint8 if len(known) < 256 else np.int32), lengths).reshape(ids.shape)


def flat_picture(index: Integer[np.ndarray, "H W"], colors: Sequence[Color]) -> IndexedPicture:
    """The segments of a `segment_index` in these colours; void is black."""
    return IndexedPicture(index, np.array([BLACK, *colors], np.uint8))


def indexed_map(panoptic: PanopticMap, colors: Mapping[int, Color] | None = None) -> IndexedPicture:
    """The segments in flat colours.

    Args:
        panoptic: the map.
        colors: segment id -> RGB, `segment_colors` by default; void and ids without a colour are black.
    """
    colors = segment_colors(panoptic) if colors is None else colors
    known = [key for key in colors if key != VOID_ID]
    return flat_picture(segment_index(panoptic.ids, known), [colors[key] for key in known])


def color_map(panoptic: PanopticMap, colors: Mapping[int, Color] | None = None) -> Picture:
    """`indexed_map` as RGB."""
    return indexed_map(panoptic, colors).rgb()


def error_map(
    truth: Integer[np.ndarray, "H W"],
    prediction: Integer[np.ndarray, "H W"],
    match: Int64[np.ndarray, " T"],
    counted: Bool[np.ndarray, " T"],
    spurious: Bool[np.ndarray, " P"],
) -> IndexedPicture:
    """The errors of one image, in the colours of `ERROR_COLORS`, over the outlines of the ground truth.

    Args:
        truth, prediction: `segment_index` of either map.
        match: for each segment of the truth the position of the prediction matched with it, or -1.
        counted: which segments of the truth count; void and crowds do not.
        spurious: which predictions are false positives.

    Returns:
        A pixel is a false negative if its ground-truth segment is unmatched, an outline error if the prediction there
        is not the match, and else a false positive if the prediction there is one. An object found in the wrong place
        thus shows both: the false negative where it is, the false positive where it is not.
    """
    correct, missed, made_up, outline, uncounted = range(1 + len(ERROR_COLORS))
    # One small table says what the pixels of each pair of segments are; later rules override earlier ones.
    table = np.full((1 + len(match), 1 + len(spurious)), outline, np.uint8)
    found = np.flatnonzero(match >= 0)
    table[1 + found, 1 + match[found]] = correct
    table[:, 1 + np.flatnonzero(spurious)] = made_up
    table[1 + np.flatnonzero(match < 0)] = missed
    table[1 + np.flatnonzero(~counted)] = uncounted
    table[0] = uncounted
    index = table.reshape(-1).take(truth.astype(np.int64) * table.shape[1] + prediction)
    colors = np.array([CORRECT, *ERROR_COLORS.values()])
    index += np.uint8(len(colors)) * outlines(truth)
    return IndexedPicture(index, np.concatenate([colors, (2 * colors + np.array(OUTLINE)) // 3]).astype(np.uint8))


def outlines(ids: Integer[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels whose right or lower neighbour belongs to another segment."""
    edge = np.zeros(ids.shape, bool)
    edge[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    edge[:-1] |= ids[:-1] != ids[1:]
    return edge


def resize_map(panoptic: PanopticMap, size: tuple[int, int]) -> PanopticMap:
    """The map at another size (height, width) by nearest neighbours; its segments still describe the original."""
    return PanopticMap(resize_ids(panoptic.ids, size), panoptic.segments)


def resize_ids(ids: Int32[np.ndarray, "H W"], size: tuple[int, int]) -> Int32[np.ndarray, "I J"]:
    """The pixels of `resize_map`."""
    shapes = zip(size, ids.shape, strict=True)
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in shapes)
    return np.asarray(ids.take(rows, 0).take(columns, 1, mode="clip"))  # unlike "raise", this copies nothing twice
