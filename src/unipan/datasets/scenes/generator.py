"""Procedural street scenes with exact ground truth.

`draw_scene(seed)` depends on the seed alone. The layout is drawn in units (see `shapes`), so that one seed at two sizes
shows the same street.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float32, Int32
from scipy import ndimage

from unipan.datasets.scenes.shapes import CIRCLE, HEIGHT, WIDTH, Canvas, Pen
from unipan.datasets.scenes.street import (
    BUILDING,
    FIRST_THING,
    ROAD,
    SIDEWALK,
    SKY,
    VEGETATION,
    VIEWS,
    Item,
    Street,
    draw_across,
    draw_along,
    draw_sky,
    lay_street,
    populate,
)
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID_ID, PanopticMap, Sample, Segment

HELD_OUT = 1_000_000
"""Seeds below it are for training; this seed and all above are held out for validation and testing."""

MIN_AREA = 40
"""Things with fewer visible pixels (at 128 x 256; scaled for other sizes) are void."""

MIN_VISIBLE = 0.08
"""Things of which a smaller share of the pixels inside the image is visible are void."""

SCENE_CATEGORIES = Categories(
    (
        Category(1, "car", True, (30, 80, 200)),
        Category(2, "bus", True, (0, 160, 170)),
        Category(3, "person", True, (220, 30, 60)),
        Category(4, "rider", True, (250, 130, 20)),
        Category(5, "sky", False, (120, 180, 230)),
        Category(6, "building", False, (90, 80, 80)),
        Category(7, "vegetation", False, (90, 150, 40)),
        Category(8, "road", False, (130, 70, 130)),
        Category(9, "sidewalk", False, (235, 160, 220)),
    )
)
"""The classes; a rider and the bicycle are one object."""

_STREAM = 20200  # separates the scenes' random numbers from other uses of the same seed
_TEXTURE = {SKY: 0.012, BUILDING: 0.05, VEGETATION: 0.15, ROAD: 0.06, SIDEWALK: 0.06}
_THING_TEXTURE = 0.03


# ---- light -----------------------------------------------------------------------------------------------------


def _shadows(street: Street, size: tuple[int, int], strength: float) -> Float32[np.ndarray, "H W"]:
    """The light that reaches the ground, 0..1: soft dark patches under the things."""
    light = np.full(size, 255, np.uint8)
    scale, slant = np.array([size[1] / WIDTH, size[0] / HEIGHT]), float(street.rng.uniform(-0.3, 0.3))
    for item in street.items:
        x0, _, x1, y = item.box
        half = (x1 - x0) * 0.56
        for grow, value in ((1.15, 255 - 0.6 * strength), (0.95, 255 - strength)):
            oval = np.array(CIRCLE) * (half * grow, 0.09 * item.height * grow)
            oval += ((x0 + x1) / 2 + slant * item.height, y - 0.02 * item.height)
            cv2.fillConvexPoly(light, (oval * scale * 16 - 8).astype(np.int32), value, cv2.LINE_8, 4)
    return light.astype(np.float32) / np.float32(255)


def _waves(rng: np.random.Generator, size: tuple[int, int], rows: int) -> Float32[np.ndarray, "H W"]:
    """Smooth noise with a standard deviation of about 1 and `rows` bumps from top to bottom."""
    coarse = rng.standard_normal((rows, 2 * rows), np.float32)
    return np.asarray(cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _photograph(canvas: Canvas, street: Street, dusk: bool) -> np.ndarray:
    """Light, texture, haze and sensor noise; (H, W, 3) uint8."""
    rng, size, ids = street.rng, canvas.size, canvas.ids()
    shadow = _shadows(street, size, float(rng.uniform(50, 130)))
    tint = np.array((0.74, 0.66, 0.76) if dusk else (1, 1, 1)) * rng.uniform(0.86, 1.12) + rng.normal(0, 0.025, 3)
    texture = np.array([_TEXTURE.get(k, _THING_TEXTURE) for k in range(256)], np.float32)
    grain = _waves(rng, size, 64) + 0.7 * _waves(rng, size, 24)
    light = 1 + texture[ids] * grain + 0.06 * _waves(rng, size, 3)
    light *= np.where((ids == ROAD) | (ids == SIDEWALK), shadow, np.float32(1))
    rgb = canvas.colors()
    rgb *= light[..., None]
    rgb *= tint.astype(np.float32)
    if rng.random() < 0.2:
        rgb = _haze(rgb, ids, street, float(rng.uniform(0.25, 0.6)))
    rgb += (rng.standard_normal(size, np.float32) * np.float32(rng.uniform(1.5, 6)))[..., None]
    pixels: np.ndarray = np.clip(rgb, 0, 255, out=rgb).astype(np.uint8)
    return pixels


def _haze(
    rgb: Float32[np.ndarray, "H W 3"], ids: np.ndarray, street: Street, strength: float
) -> Float32[np.ndarray, "H W 3"]:
    """Distant objects fade into the colour of the air."""
    fade = np.zeros(256, np.float32)
    fade[SKY], fade[BUILDING], fade[VEGETATION] = 0.9, 0.7, 0.6
    for position, item in enumerate(street.items):
        fade[FIRST_THING + position] = 1 - (item.y - street.horizon) / (HEIGHT - street.horizon)
    rows = np.linspace(0, HEIGHT, ids.shape[0], dtype=np.float32)[:, None]
    ground = np.clip(1 - (rows - street.horizon) / (HEIGHT - street.horizon), 0, 1)
    amount = np.where((ids == ROAD) | (ids == SIDEWALK), ground, fade[ids])[..., None] * np.float32(strength)
    hazy: np.ndarray = rgb * (1 - amount) + np.array((205, 208, 212), np.float32) * amount
    return hazy


# ---- truth -----------------------------------------------------------------------------------------------------


def _map_of_drawing(ids: Int32[np.ndarray, "H W"], items: list[Item]) -> PanopticMap:
    """A map with every id as a segment."""
    segments = []
    things = len(SCENE_CATEGORIES.things)
    areas = np.bincount(ids.ravel())
    for number, where in enumerate(ndimage.find_objects(ids), start=1):
        if where is None:
            continue
        position = number - FIRST_THING
        index = VIEWS[items[position].view][0] if position >= 0 else things + number - 1
        rows, columns = where
        box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        segments.append(Segment(number, SCENE_CATEGORIES[index], 1.0, int(areas[number]), box))
    return PanopticMap(ids, tuple(segments))


def draw_with_extents(seed: int, size: tuple[int, int] = (128, 256)) -> tuple[Sample, dict[int, int]]:
    """`draw_scene` and, for each thing's id, the number of pixels it would have if nothing were in front of it.

    Raises:
        ValueError: the seed is negative or the size has no pixels.
    """
    if seed < 0 or min(size) < 1:
        raise ValueError(f"scenes: seed {seed} at size {size} cannot be drawn; use a seed >= 0 and a size >= (1, 1)")
    rng = np.random.default_rng([seed, _STREAM])
    canvas, street = Canvas(size), lay_street(rng)
    dusk = bool(rng.random() < 0.15)
    draw_sky(canvas, rng, street.horizon, dusk)
    (draw_across if street.across else draw_along)(canvas, street, 0.5 if dusk else 0.06)
    populate(street)
    street.items.sort(key=lambda item: item.y)
    extents = {}
    for label, item in enumerate(street.items, start=FIRST_THING):
        pen = Pen(canvas, item.x, item.y, item.height, item.flip, label)
        VIEWS[item.view][3](pen, rng, *item.colors)
        extents[label] = int(np.count_nonzero(canvas.ids() == label))  # nothing is in front of it yet
    image, ids = _photograph(canvas, street, dusk), canvas.ids().astype(np.int32)
    visible, least = np.bincount(ids.ravel(), minlength=256), MIN_AREA * size[0] * size[1] / (HEIGHT * WIDTH)
    for label, extent in extents.items():
        if visible[label] < max(least, MIN_VISIBLE * extent):
            ids[ids == label] = VOID_ID
    sample = Sample(image, _map_of_drawing(ids, street.items), seed, scene_file(seed))
    return sample, {segment.id: extents[segment.id] for segment in sample.truth if segment.isthing}


def draw_scene(seed: int, size: tuple[int, int] = (128, 256)) -> Sample:
    """The street scene of a seed with its exact ground truth, at (height, width) pixels.

    Raises:
        ValueError: the seed is negative or the size has no pixels.
    """
    return draw_with_extents(seed, size)[0]


def scene_file(seed: int) -> str:
    """The file name of a scene."""
    return f"scene_{seed:07d}.png"


class Scenes:
    """The scenes of a range of seeds, as a dataset."""

    categories = SCENE_CATEGORIES

    def __init__(self, seeds: range, size: tuple[int, int] = (128, 256)) -> None:
        self.seeds, self.size = seeds, size

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Sample:
        return draw_scene(self.seeds[index], self.size)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))
