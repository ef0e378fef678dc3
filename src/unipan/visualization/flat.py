"""Panoptic maps as flat pictures of a few colours: the segments, or what is wrong with them. Needs numpy alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from unipan.arrays import Bool, Int32, Integer, UInt8
from unipan.panoptic.maps import VOID_ID, PanopticMap
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


def indexed_map(panoptic: PanopticMap, colors: Mapping[int, Color] | None = None) -> IndexedPicture:
    """The segments in flat colours.

    Args:
        panoptic: the map.
        colors: segment id -> RGB, `segment_colors` by default; void and ids without a colour are black.
    """
    colors = segment_colors(panoptic) if colors is None else colors
    known = sorted(colors.keys() - {VOID_ID})
    palette = np.array([BLACK, *(colors[key] for key in known)], np.uint8)
    return IndexedPicture(_index_of(panoptic.ids, known), palette)


def color_map(panoptic: PanopticMap, colors: Mapping[int, Color] | None = None) -> Picture:
    """`indexed_map` as RGB."""
    return indexed_map(panoptic, colors).rgb()


def error_map(
    truth: PanopticMap, prediction: PanopticMap, matches: Mapping[int, int], false_positives: Collection[int]
) -> IndexedPicture:
    """The errors of one image, in the colours of `ERROR_COLORS`, over the outlines of the ground truth.

    Args:
        truth: the ground truth; its void and crowds are not counted.
        prediction: of the same size.
        matches: ground-truth segment id -> id of the prediction matched with it.
        false_positives: ids of predictions.

    Returns:
        A pixel is a false negative if its ground-truth segment is unmatched, an outline error if the prediction there
        is not the match, and else a false positive if the prediction there is one. An object found in the wrong place
        thus shows both: the false negative where it is, the false positive where it is not.
    """
    correct, missed, made_up, outline, uncounted = range(1 + len(ERROR_COLORS))
    known = sorted(segment.id for segment in truth if not segment.iscrowd)
    predicted = sorted({*matches.values(), *false_positives})
    # One small table says what the pixels of each pair of segments are; later rules override earlier ones.
    table = np.full((1 + len(known), 1 + len(predicted)), outline, np.uint8)
    for key, match in matches.items():
        table[1 + known.index(key), 1 + predicted.index(match)] = correct
    table[:, [1 + predicted.index(key) for key in false_positives]] = made_up
    table[[1 + row for row, key in enumerate(known) if key not in matches]] = missed
    table[0] = uncounted
    pairs = _index_of(truth.ids, known).astype(np.int32) * table.shape[1] + _index_of(prediction.ids, predicted)
    index = table.reshape(-1).take(pairs)
    index[outlines(truth.ids)] += len(ERROR_COLORS) + 1
    colors = np.array([CORRECT, *ERROR_COLORS.values()])
    return IndexedPicture(index, np.concatenate([colors, (2 * colors + np.array(OUTLINE)) // 3]).astype(np.uint8))


def outlines(ids: Int32[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels whose right or lower neighbour belongs to another segment."""
    edge = np.zeros(ids.shape, bool)
    edge[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    edge[:-1] |= ids[:-1] != ids[1:]
    return edge


def resize_map(panoptic: PanopticMap, size: tuple[int, int]) -> PanopticMap:
    """The map at another size (height, width) by nearest neighbours; its segments still describe the original."""
    shapes = zip(size, panoptic.ids.shape, strict=True)
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in shapes)
    return PanopticMap(panoptic.ids.take(rows, 0).take(columns, 1), panoptic.segments)


def _index_of(ids: Int32[np.ndarray, "H W"], known: list[int]) -> Integer[np.ndarray, "H W"]:
    """For each pixel 1 + the position of its id in `known` (ascending, without void); 0 for any other id."""
    table = np.array([VOID_ID, *known], np.int32)
    starts, lengths = runs(ids)
    values = ids.reshape(-1)[starts]
    index = np.searchsorted(table, values).clip(max=len(known))
    index[table[index] != values] = 0
    return np.repeat(index.astype(np.uint8 if len(known) < 256 else np.int32), lengths).reshape(ids.shape)
