"""Where a prediction errs, pixel by pixel, over the outlines of the truth."""

from collections.abc import Collection, Mapping

import numpy as np

from unipan.panoptic.maps import VOID_ID, PanopticMap
from unipan.visualization.overlay import Picture, outlines
from unipan.visualization.palette import Color

RIGHT: Color = (222, 219, 212)
OUTLINE: Color = (158, 153, 143)
KEYS: dict[str, Color] = {
    "missed": (201, 72, 91),
    "spurious": (63, 120, 181),
    "beyond the outline": (232, 176, 84),
    "not counted": (40, 40, 40),
}
"""The colours and what they say; everything else is right and grey."""


def error_map(
    truth: PanopticMap, prediction: PanopticMap, partners: Mapping[int, int], spurious: Collection[int]
) -> Picture:
    """Paint the errors of one image.

    Args:
        truth: whose void and crowds are not counted.
        prediction: of the same size.
        partners: id of a truth's segment -> id of the prediction matched with it.
        spurious: ids of predictions that are false positives.

    Returns:
        RGB. A pixel is `missed` if its truth has no partner, `beyond the outline` if the prediction there is another
        one than the partner, and `spurious` if it was predicted in vain: an object found in the wrong place shows
        both, the miss where the truth is and the spurious part where it is not.
    """
    t, p = truth.ids, prediction.ids
    picture = np.empty((*t.shape, 3), np.uint8)
    picture[:] = RIGHT
    counted = [segment.id for segment in truth if not segment.iscrowd]
    matched = np.isin(t, list(partners))
    table = np.full(int(t.max(initial=0)) + 1, VOID_ID, np.int64)
    for identity, partner in partners.items():
        table[identity] = partner
    picture[matched & (table[t] != p)] = KEYS["beyond the outline"]
    picture[np.isin(p, list(spurious))] = KEYS["spurious"]
    picture[np.isin(t, [identity for identity in counted if identity not in partners])] = KEYS["missed"]
    picture[~np.isin(t, counted)] = KEYS["not counted"]
    edge = outlines(t)
    picture[edge] = (picture[edge].astype(np.uint16) * 2 // 3 + np.array(OUTLINE) // 3).astype(np.uint8)
    return picture
