"""The pictures of one image on the page of `unipan pq --html`: photograph, ground truth, prediction and errors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from unipan.arrays import Int32, Integer
from unipan.evaluation.errors import ImageErrors
from unipan.evaluation.folders import SegmentedImage
from unipan.evaluation.matching import SegmentTable
from unipan.evaluation.per_image import ImageScore
from unipan.panoptic.categories import Categories
from unipan.panoptic.images import read_image
from unipan.visualization.flat import (
    IndexedPicture,
    Picture,
    error_map,
    flat_picture,
    outlines,
    resize_ids,
    segment_index,
)
from unipan.visualization.pages import CaptionedImage, ImageCard, data_uri
from unipan.visualization.palette import instance_colors, partner_colors, quiet

PICTURE_WIDTH = 480
"""Pixels: pictures on the page are at most this wide, so that a page of 200 opens at once."""
PICTURE_QUALITY = 75
"""Of JPEG; the photograph itself is at hand."""
TINT = 0.55
"""Of the colours over a photograph, which is grey there."""

Images = Callable[[str], tuple[SegmentedImage, SegmentedImage]]
"""Ground truth and prediction of an image by its name, as they were counted; called from several processes."""


def error_card(
    row: ImageScore,
    errors: ImageErrors,
    categories: Categories,
    truth: SegmentedImage,
    prediction: SegmentedImage,
    photograph: Path | None = None,
) -> ImageCard:
    """One image with its counts and pictures.

    Args:
        row: its scores.
        errors: what went wrong in it.
        categories: of the dataset.
        truth, prediction: its two maps.
        photograph: drawn beside and below the maps; left out if it is of another size or cannot be read.
    """
    sides = [_as_counted(truth, len(errors.match)), _as_counted(prediction, len(errors.spurious))]
    index, guess = (segment_index(small(ids), segments.ids.tolist()) for ids, segments in sides)
    classes, guessed = ([categories[number] for number in segments.classes.tolist()] for _, segments in sides)
    partners = {p: t for t, p in enumerate(errors.match.tolist()) if p >= 0}
    colors = partner_colors(guessed, classes, [partners.get(p) for p in range(len(guessed))])
    photo = None if photograph is None else _photo(photograph, sides[0][0].shape, (index.shape[0], index.shape[1]))
    grey = None if photo is None else Image.fromarray(photo).convert("L").convert("RGB")
    drawn = [
        ("ground truth", _over(grey, index, [quiet(each) for each in instance_colors(classes)]), len(classes)),
        ("prediction", _over(grey, guess, [quiet(each) for each in colors]), len(guessed)),
    ]
    images = [
        CaptionedImage(name, data_uri(picture, PICTURE_QUALITY, fast=True), f"{count} segments")
        for name, picture, count in drawn
    ]
    wrong = error_map(index, guess, errors.match, errors.truth_class >= 0, errors.spurious)
    images.append(CaptionedImage("errors", data_uri(wrong)))
    if photo is not None:
        images.insert(0, CaptionedImage("photograph", data_uri(photo, PICTURE_QUALITY, fast=True)))
    names = [categories[number].name for number in errors.classes]
    return ImageCard(row.image, row.pq or 0.0, row.tp, row.fp, row.fn, names, images)


def _as_counted(side: SegmentedImage, count: int) -> tuple[Int32[np.ndarray, "H W"], SegmentTable]:
    """The map and the segments that were counted: all, or those with pixels where files were read leniently."""
    assert side.ids is not None
    everyone = len(side.segments) == count
    return side.ids, side.segments if everyone else side.segments[np.isin(side.segments.ids, side.ids)]


def small(ids: Int32[np.ndarray, "H W"]) -> Int32[np.ndarray, "I J"]:
    """The map, at most PICTURE_WIDTH pixels wide."""
    height, width = ids.shape
    if width <= PICTURE_WIDTH:
        return ids
    return resize_ids(ids, (max(1, round(height * PICTURE_WIDTH / width)), PICTURE_WIDTH))


def _photo(path: Path, shape: tuple[int, ...], size: tuple[int, int]) -> Picture | None:
    """The photograph at (height, width) of `size`, if it is of the shape of the map."""
    try:
        pixels = read_image(path, (0.0, 100.0))
    except (ValueError, OSError):
        return None
    if pixels.shape[:2] != shape:
        return None
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BOX))


def _over(
    grey: Image.Image | None, index: Integer[np.ndarray, "H W"], colors: list[tuple[int, int, int]]
) -> Picture | IndexedPicture:
    """Segments in their colours, over the grey photograph if there is one, with white outlines there."""
    flat = flat_picture(index, colors)
    if grey is None:
        return flat
    mixed = np.array(Image.blend(grey, Image.fromarray(flat.rgb()), TINT))  # a fifth of numpy's time
    mixed[outlines(index)] = 255
    return mixed
