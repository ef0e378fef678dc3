"""What is drawn over photographs: panoptic maps with outlines, boxes with names and scores, marked pixels."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from unipan.panoptic.maps import VOID_ID, PanopticMap
from unipan.visualization.flat import Picture, color_map, outlines, segment_index
from unipan.visualization.palette import Color, segment_colors

WHITE = (255, 255, 255)
INK = (24, 24, 27)
BAND = 1 << 20
"""Pixels that are mixed at a time, so that a large picture takes little more memory than itself and the result."""
_DARK = (np.arange(256) // 6).astype(np.uint8)
_LIGHT = (np.arange(256) // 3 + 170).astype(np.uint8)


def overlay(
    image: Picture,
    panoptic: PanopticMap,
    colors: Mapping[int, Color] | None = None,
    alpha: float = 0.6,
    stuff_alpha: float | None = None,
) -> Picture:
    """The colour map laid over the image with light outlines; void is nearly black.

    Args:
        image: RGB, of the map's own size.
        alpha: share of the colour map, 0..1.
        stuff_alpha: the same for stuff, where it is to be quieter than things; by default `alpha`.

    Raises:
        ValueError: image and map differ in size.
    """
    if image.shape[:2] != panoptic.ids.shape:
        raise ValueError(
            f"overlay: the image is {image.shape[:2]} and the map {panoptic.ids.shape} pixels; pass the map's own image"
        )
    colors = segment_colors(panoptic) if colors is None else colors
    mixed = np.empty_like(image)
    rows = max(BAND // max(image.shape[1], 1), 1)
    for top in range(0, len(image), rows):  # what lies between the picture and the result exists for a band at a time
        band = PanopticMap(panoptic.ids[top : top + rows], panoptic.segments)
        drawn = outlines(panoptic.ids[top : top + rows + 1])[:rows]  # the next row decides on the last one's
        mixed[top : top + rows] = _overlay_of_band(image[top : top + rows], band, drawn, colors, alpha, stuff_alpha)
    return mixed


def _overlay_of_band(
    image: Picture,
    panoptic: PanopticMap,
    drawn: Bool[np.ndarray, "H W"],
    colors: Mapping[int, Color],
    alpha: float,
    stuff_alpha: float | None,
) -> Picture:
    flat = color_map(panoptic, colors)
    mixed = cv2.addWeighted(image, 1 - alpha, flat, alpha, 0)
    # OpenCV replaces masked pixels several times as fast as NumPy, and lets go of Python's lock.
    if stuff_alpha is not None:
        stuff = segment_index(panoptic.ids, [segment.id for segment in panoptic if not segment.isthing]) > 0
        quiet = cv2.addWeighted(image, 1 - stuff_alpha, flat, stuff_alpha, 0)
        mixed = cv2.copyTo(quiet, stuff.view(np.uint8), mixed)
    void = panoptic.ids == VOID_ID
    if void.any():
        mixed = cv2.copyTo(cv2.LUT(image, _DARK), void.view(np.uint8), mixed)
    mixed = cv2.copyTo(cv2.LUT(mixed, _LIGHT), drawn.view(np.uint8), mixed)
    return np.asarray(mixed, np.uint8)


def shrink(image: Picture, longest: int) -> UInt8[np.ndarray, "tall wide 3"]:
    """The image with its longer side reduced to `longest` pixels; smaller images stay as they are."""
    factor = longest / max(image.shape[:2])
    if factor >= 1:
        return image
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])  # a thin image keeps a line
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def draw_boxes(
    image: Picture,
    boxes: Float[np.ndarray, "D 4"],
    labels: Sequence[str],
    colors: Sequence[Color],
) -> Picture:
    """The image with boxes (x0 y0 x1 y1 in pixels) and their labels at the upper left corners."""
    picture = np.ascontiguousarray(image.copy())
    line = max(2, round(max(picture.shape[:2]) / 400))
    for box, color in zip(boxes, colors, strict=True):
        x0, y0, x1, y1 = (round(float(side)) for side in box)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), INK, line + 2)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), color, line)
    for box, label, color in zip(boxes, labels, colors, strict=True):
        _chip(picture, label, round(float(box[0])), round(float(box[1])), color)
    return picture


def mark(image: Picture, x: int, y: int, size: int | None = None) -> Picture:
    """The image with a cross, white on dark, at pixel (x, y)."""
    picture = np.ascontiguousarray(image.copy())
    reach = size or max(4, round(max(picture.shape[:2]) / 45))
    width = max(1, reach // 5)
    for color, thick in ((INK, width + 2), (WHITE, width)):
        cv2.line(picture, (x - reach, y - reach), (x + reach, y + reach), color, thick, cv2.LINE_AA)
        cv2.line(picture, (x - reach, y + reach), (x + reach, y - reach), color, thick, cv2.LINE_AA)
    return picture


def _chip(picture: np.ndarray, label: str, x: int, y: int, color: Color) -> None:
    scale = max(0.34, max(picture.shape[:2]) / 1500)
    (width, height), base = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = max(0, min(x, picture.shape[1] - width - 6))
    y = max(height + base + 2, y)
    cv2.rectangle(picture, (x, y - height - base - 2), (x + width + 6, y), color, cv2.FILLED)
    ink = INK if sum(color) > 330 else WHITE
    cv2.putText(picture, label, (x + 3, y - base), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
