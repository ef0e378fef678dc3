"""The canvas of a scene, and the things, trees and facades that are drawn on it.

The canvas has four channels, colour and id, so that one polygon fill writes both and they always agree. Coordinates are
in units: a scene is `WIDTH` x `HEIGHT` units, whatever its size in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT = 256, 128
"""Units of a scene."""

SUPERSAMPLING = 3
"""Subcells per pixel and axis; odd, so that one subcell is at the centre of each pixel."""

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV gets."""

Number = int | float  # beartype does not accept an int as a float
Rgb = tuple[Number, Number, Number]
Point = tuple[Number, Number]

CIRCLE = tuple((math.cos(k * math.pi / 10), math.sin(k * math.pi / 10)) for k in range(20))
GLASS: Rgb = (70, 84, 98)
RUBBER: Rgb = (32, 32, 35)


def shade(color: Rgb, factor: Number) -> Rgb:
    """The colour made darker (factor < 1) or lighter."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def jitter(rng: np.random.Generator, color: Rgb, spread: Number) -> Rgb:
    """A similar colour: a random change of brightness and a smaller one of each channel."""
    common, red, green, blue = rng.normal(0.0, spread, 4)
    return color[0] + common + 0.4 * red, color[1] + common + 0.4 * green, color[2] + common + 0.4 * blue


def _value(color: Rgb, label: int) -> tuple[Number, Number, Number, int]:
    red, green, blue = color
    return min(max(red, 0), 255), min(max(green, 0), 255), min(max(blue, 0), 255), label


class Canvas:
    """RGB and id of each subcell; `cells` is (SUPERSAMPLING * H, SUPERSAMPLING * W, 4) uint8."""

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self.size = size
        self.cells = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING, 4), np.uint8)
        self.scale = np.array([width / WIDTH, height / HEIGHT]) * (SUPERSAMPLING << SHIFT)

    def polygon(self, points: Sequence[Point] | np.ndarray, color: Rgb, label: int, convex: bool = True) -> None:
        """Fill one polygon, given in units, with a colour and an id."""
        # OpenCV's integer coordinates are centres of subcells, ours are their edges: a shift of half a subcell
        fixed = (np.asarray(points) * self.scale - (1 << SHIFT) / 2).astype(np.int32)
        value = _value(color, label)
        if convex:
            cv2.fillConvexPoly(self.cells, fixed, value, cv2.LINE_8, SHIFT)
        else:
            cv2.fillPoly(self.cells, [fixed], value, cv2.LINE_8, SHIFT)

    def polygons(self, points: np.ndarray, color: Rgb, label: int) -> None:
        """Fill polygons (N, corners, 2) that do not overlap."""
        if len(points):
            fixed = (points * self.scale - (1 << SHIFT) / 2).astype(np.int32)
            cv2.fillPoly(self.cells, list(fixed), _value(color, label), cv2.LINE_8, SHIFT)

    def ids(self) -> np.ndarray:
        """(H, W) uint8: the id at each pixel's centre."""
        middle = SUPERSAMPLING // 2
        return self.cells[middle::SUPERSAMPLING, middle::SUPERSAMPLING, 3]

    def colors(self) -> np.ndarray:
        """(H, W, 3) float32 RGB: the mean over each pixel."""
        height, width = self.size
        mean = cv2.resize(self.cells, (width, height), interpolation=cv2.INTER_AREA)
        return mean[..., :3].astype(np.float32)


@dataclass(frozen=True)
class Pen:
    """Draws one object; x is in object heights from its middle, y in object heights above the ground."""

    canvas: Canvas
    x: Number
    y: Number
    height: Number
    flip: bool
    label: int

    def poly(self, color: Rgb, points: Sequence[Point], convex: bool = True) -> None:
        """Fill a polygon."""
        across = -self.height if self.flip else self.height
        placed = [(self.x + across * x, self.y - self.height * y) for x, y in points]
        self.canvas.polygon(placed, color, self.label, convex)

    def rect(self, color: Rgb, left: Number, bottom: Number, right: Number, top: Number) -> None:
        """Fill an upright rectangle."""
        self.poly(color, ((left, bottom), (right, bottom), (right, top), (left, top)))

    def disk(self, color: Rgb, x: Number, y: Number, across: Number, up: Number | None = None) -> None:
        """Fill a circle, or an ellipse of half axes `across` and `up`."""
        up = across if up is None else up
        self.poly(color, [(x + across * a, y + up * b) for a, b in CIRCLE])

    def line(self, color: Rgb, start: Point, end: Point, width: Number) -> None:
        """Fill a bar."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        scale = width / 2 / math.hypot(dx, dy)
        nx, ny = -dy * scale, dx * scale
        (x0, y0), (x1, y1) = start, end
        self.poly(color, ((x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)))

    def pane(self, color: Rgb, quad: Sequence[Point], left: Number, bottom: Number, right: Number, top: Number) -> None:
        """Part of a quadrilateral (bottom left, bottom right, top right, top left) in its own 0..1 coordinates."""
        corners = ((left, bottom), (right, bottom), (right, top), (left, top))
        self.poly(color, [point_in_quad(quad, u, v) for u, v in corners])


def point_in_quad(quad: Sequence[Point], u: Number, v: Number) -> Point:
    """The point at (u, v) of a quadrilateral, by bilinear interpolation."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v
    return a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy


def points_in_quad(quad: Sequence[Point], u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`point_in_quad` for arrays of u and v; (..., 2)."""
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], -1)
    points: np.ndarray = weights @ np.asarray(quad)
    return points


_CABINS: tuple[tuple[Point, ...], ...] = (
    ((-0.88, 0.56), (0.78, 0.56), (0.3, 1.0), (-0.55, 0.98)),  # saloon
    ((-1.2, 0.56), (0.74, 0.56), (0.28, 1.0), (-1.02, 0.97)),  # hatchback
    ((-1.24, 0.54), (0.98, 0.54), (0.62, 1.0), (-1.2, 1.0)),  # van
)


def car_side(pen: Pen, rng: np.random.Generator, body: Rgb) -> None:
    """A car seen from its side, 2.5 heights long, heading right."""
    glass = jitter(rng, GLASS, 10)
    cabin = _CABINS[int(rng.integers(3))]
    pen.poly(shade(body, 0.92), cabin)
    pen.pane(glass, cabin, 0.07, 0.12, 0.47, 0.86)
    pen.pane(shade(glass, 1.15), cabin, 0.53, 0.12, 0.93, 0.86)
    pen.poly(body, ((-1.25, 0.2), (1.25, 0.2), (1.25, 0.44), (1.1, 0.55), (-1.16, 0.6), (-1.25, 0.5)))
    pen.rect(shade(body, 1.12), -1.2, 0.5, 1.1, 0.545)
    pen.rect(shade(body, 0.5), -1.22, 0.14, 1.22, 0.24)
    pen.rect(shade(body, 0.7), -0.04, 0.24, 0.0, 0.56)
    pen.rect((245, 235, 190), 1.1, 0.36, 1.25, 0.46)
    pen.rect((190, 40, 35), -1.25, 0.4, -1.15, 0.52)
    for x in (-0.76, 0.78):
        pen.disk(RUBBER, x, 0.22, 0.22)
        pen.disk((150, 152, 156), x, 0.22, 0.11)


def car_end(pen: Pen, rng: np.random.Generator, body: Rgb) -> None:
    """A car seen from its front or its rear, 1.25 heights wide."""
    glass = jitter(rng, GLASS, 10)
    rear = rng.random() < 0.5
    pen.rect(RUBBER, -0.58, 0.0, -0.34, 0.3)
    pen.rect(RUBBER, 0.34, 0.0, 0.58, 0.3)
    cabin = ((-0.54, 0.58), (0.54, 0.58), (0.42, 1.0), (-0.42, 1.0))
    pen.poly(shade(body, 0.92), cabin)
    pen.pane(glass, cabin, 0.08, 0.1, 0.92, 0.84)
    pen.poly(body, ((-0.6, 0.14), (0.6, 0.14), (0.625, 0.48), (0.55, 0.62), (-0.55, 0.62), (-0.625, 0.48)))
    pen.rect(shade(body, 1.1), -0.52, 0.55, 0.52, 0.6)
    pen.rect(shade(body, 0.5), -0.6, 0.14, 0.6, 0.25)
    lamp: Rgb = (196, 38, 34) if rear else (246, 238, 200)
    pen.rect(lamp, -0.59, 0.38, -0.36, 0.5)
    pen.rect(lamp, 0.36, 0.38, 0.59, 0.5)
    if not rear:
        pen.rect((48, 48, 52), -0.3, 0.3, 0.3, 0.44)
    pen.rect((225, 225, 220), -0.15, 0.27, 0.15, 0.35)


def car_corner(pen: Pen, rng: np.random.Generator, body: Rgb) -> None:
    """A car seen from a corner, 1.9 heights wide, its front to the left."""
    glass = jitter(rng, GLASS, 10)
    lamp: Rgb = (196, 38, 34) if rng.random() < 0.5 else (246, 238, 200)
    pen.rect(RUBBER, -0.9, 0.03, -0.72, 0.3)
    side = ((-0.1, 0.58), (0.9, 0.56), (0.72, 0.92), (0.04, 1.0))
    screen = ((-0.88, 0.58), (-0.1, 0.58), (0.04, 1.0), (-0.6, 0.97))
    pen.poly(shade(body, 0.8), side)
    pen.poly(shade(body, 1.05), screen)
    pen.pane(shade(glass, 0.85), side, 0.08, 0.12, 0.48, 0.84)
    pen.pane(shade(glass, 0.85), side, 0.56, 0.12, 0.92, 0.84)
    pen.pane(glass, screen, 0.08, 0.08, 0.92, 0.88)
    pen.poly(shade(body, 0.8), ((-0.2, 0.12), (0.92, 0.24), (0.95, 0.5), (0.9, 0.58), (-0.2, 0.6)))
    pen.poly(body, ((-0.95, 0.2), (-0.2, 0.12), (-0.2, 0.6), (-0.88, 0.6), (-0.95, 0.5)))
    pen.poly(shade(body, 0.5), ((-0.95, 0.18), (-0.2, 0.1), (-0.2, 0.22), (-0.95, 0.28)))
    pen.poly(lamp, ((-0.94, 0.4), (-0.76, 0.39), (-0.76, 0.51), (-0.94, 0.51)))
    pen.poly(lamp, ((-0.4, 0.37), (-0.21, 0.36), (-0.21, 0.49), (-0.4, 0.5)))
    for x, y, across, up in ((0.1, 0.2, 0.14, 0.2), (0.74, 0.26, 0.1, 0.17)):
        pen.disk(RUBBER, x, y, across, up)
        pen.disk((150, 152, 156), x, y, across * 0.5, up * 0.5)


def bus_side(pen: Pen, rng: np.random.Generator, body: Rgb) -> None:
    """A bus seen from its side, 2.4 heights long, heading right."""
    glass, stripe = jitter(rng, GLASS, 10), jitter(rng, (215, 205, 190), 25)
    pen.poly(body, ((-1.2, 0.12), (1.2, 0.12), (1.2, 0.9), (1.13, 1.0), (-1.15, 1.0), (-1.2, 0.95)))
    pen.rect(shade(body, 0.55), -1.19, 0.1, 1.19, 0.18)
    pen.rect(stripe, -1.2, 0.3, 1.2, 0.38)
    for k in range(5):
        pen.rect(glass, -1.12 + 0.39 * k, 0.48, -0.8 + 0.39 * k, 0.84)
    pen.rect(shade(glass, 0.7), 0.84, 0.18, 1.06, 0.84)
    pen.rect(shade(glass, 1.2), 1.1, 0.42, 1.2, 0.84)
    pen.rect((246, 238, 200), 1.12, 0.22, 1.2, 0.28)
    for x in (-0.74, 0.66):
        pen.disk(RUBBER, x, 0.14, 0.14)
        pen.disk((150, 152, 156), x, 0.14, 0.07)


def bus_end(pen: Pen, rng: np.random.Generator, body: Rgb) -> None:
    """A bus seen from its front or its rear, 0.85 heights wide."""
    glass = jitter(rng, GLASS, 10)
    lamp: Rgb = (196, 38, 34) if rng.random() < 0.5 else (246, 238, 200)
    pen.rect(RUBBER, -0.38, 0.0, -0.24, 0.16)
    pen.rect(RUBBER, 0.24, 0.0, 0.38, 0.16)
    pen.poly(body, ((-0.42, 0.08), (0.42, 0.08), (0.42, 0.92), (0.36, 1.0), (-0.36, 1.0), (-0.42, 0.92)))
    pen.rect(glass, -0.37, 0.42, 0.37, 0.8)
    pen.rect(shade(glass, 1.25), -0.02, 0.42, 0.02, 0.8)
    pen.rect((235, 190, 60), -0.24, 0.86, 0.24, 0.95)
    pen.rect(shade(body, 0.55), -0.41, 0.08, 0.41, 0.15)
    pen.rect(lamp, -0.39, 0.19, -0.26, 0.27)
    pen.rect(lamp, 0.26, 0.19, 0.39, 0.27)
    pen.rect(shade(body, 0.75), -0.2, 0.19, 0.2, 0.33)


def bus_corner(pen: Pen, rng: np.random.Generator, body: Rgb) -> None:
    """A bus seen from a corner, 1.5 heights wide, its front to the left."""
    glass, stripe = jitter(rng, GLASS, 10), jitter(rng, (215, 205, 190), 25)
    side = ((-0.15, 0.08), (0.75, 0.2), (0.75, 0.88), (-0.15, 1.0))
    face = ((-0.75, 0.13), (-0.15, 0.08), (-0.15, 1.0), (-0.72, 0.97))
    pen.rect(RUBBER, -0.7, 0.02, -0.58, 0.2)
    pen.poly(shade(body, 0.78), side)
    pen.poly(body, face)
    pen.pane(shade(stripe, 0.8), side, 0.0, 0.24, 1.0, 0.32)
    for k in range(4):
        pen.pane(shade(glass, 0.85), side, 0.06 + 0.235 * k, 0.44, 0.25 + 0.235 * k, 0.82)
    pen.pane(glass, face, 0.08, 0.38, 0.92, 0.8)
    pen.pane((235, 190, 60), face, 0.2, 0.86, 0.8, 0.95)
    pen.pane((246, 238, 200), face, 0.06, 0.12, 0.28, 0.2)
    pen.pane((246, 238, 200), face, 0.72, 0.12, 0.94, 0.2)
    for x, y, across, up in ((0.06, 0.15, 0.08, 0.13), (0.58, 0.21, 0.06, 0.11)):
        pen.disk(RUBBER, x, y, across, up)
        pen.disk((150, 152, 156), x, y, across * 0.5, up * 0.5)


SKINS: tuple[Rgb, ...] = ((238, 200, 172), (214, 166, 130), (168, 116, 82), (112, 74, 52))
HAIRS: tuple[Rgb, ...] = ((38, 30, 26), (92, 62, 38), (176, 140, 84), (128, 126, 124), (120, 52, 30))


def person(pen: Pen, rng: np.random.Generator, top: Rgb, bottom: Rgb) -> None:
    """A standing or walking person, about 0.5 heights wide."""
    skin, hair = SKINS[int(rng.integers(4))], HAIRS[int(rng.integers(5))]
    stride, swing, style = float(rng.uniform(0.05, 0.17)), float(rng.uniform(-0.02, 0.1)), int(rng.integers(4))
    shoe = shade(bottom, 0.45)
    pen.poly(shade(top, 0.8), ((-0.16, 0.8), (-0.21, 0.74), (-0.24 - swing, 0.46), (-0.16 - swing, 0.45)))
    pen.poly(shade(bottom, 0.85), ((-0.15, 0.5), (0.02, 0.5), (0.06 - stride, 0.05), (-0.08 - stride, 0.05)))
    pen.poly(bottom, ((-0.02, 0.5), (0.15, 0.5), (0.08 + stride, 0.05), (-0.06 + stride, 0.05)))
    pen.rect(shoe, -0.08 - stride, 0.0, 0.1 - stride, 0.06)
    pen.rect(shoe, -0.06 + stride, 0.0, 0.12 + stride, 0.06)
    if style == 0:  # skirt
        pen.poly(shade(bottom, 1.1), ((-0.2, 0.26), (0.2, 0.26), (0.14, 0.5), (-0.14, 0.5)))
    hem = 0.3 if style == 1 else 0.46  # a coat or a shirt
    pen.poly(top, ((-0.17, hem), (0.17, hem), (0.18, 0.78), (0.11, 0.85), (-0.11, 0.85), (-0.18, 0.78)))
    pen.poly(shade(top, 0.85), ((0.12, 0.8), (0.2, 0.76), (0.24 + swing, 0.46), (0.16 + swing, 0.45)))
    pen.disk(skin, 0.2 + swing, 0.44, 0.04)
    if style == 2:  # a bag
        pen.rect(shade(bottom, 0.7), 0.1, 0.3, 0.3, 0.46)
    pen.disk(hair, -0.01, 0.92, 0.095)
    pen.disk(skin, 0.02, 0.895, 0.07, 0.075)


def rider_side(pen: Pen, rng: np.random.Generator, top: Rgb, bottom: Rgb) -> None:
    """A cyclist with the bicycle, seen from the side, heading right, 1.1 heights long."""
    skin, frame = SKINS[int(rng.integers(4))], jitter(rng, (140, 60, 60), 45)
    for x in (-0.33, 0.34):
        pen.disk(RUBBER, x, 0.2, 0.2)
        pen.disk((112, 112, 112), x, 0.2, 0.15)
        pen.disk(RUBBER, x, 0.2, 0.03)
    pedal = float(rng.uniform(-0.06, 0.08))
    pen.line(shade(bottom, 0.8), (-0.1, 0.52), (0.1, 0.36 - pedal), 0.11)
    pen.line(shade(bottom, 0.8), (0.09, 0.4 - pedal), (0.02, 0.16 - pedal), 0.08)
    for start, end in (
        ((-0.33, 0.2), (-0.1, 0.48)), ((-0.1, 0.46), (0.26, 0.48)), ((0.25, 0.54), (0.34, 0.2)),
        ((-0.33, 0.2), (0.0, 0.2)), ((0.0, 0.2), (0.25, 0.46)),
    ):  # fmt: skip
        pen.line(frame, start, end, 0.045)
    pen.line(bottom, (-0.12, 0.53), (0.1, 0.38 + pedal), 0.13)
    pen.line(bottom, (0.09, 0.42 + pedal), (0.02, 0.14 + pedal), 0.09)
    pen.rect(shade(bottom, 0.45), -0.02, 0.1 + pedal, 0.11, 0.16 + pedal)
    pen.poly(top, ((-0.2, 0.54), (-0.02, 0.48), (0.2, 0.74), (0.14, 0.84), (0.02, 0.85)))
    pen.line(shade(top, 0.85), (0.12, 0.77), (0.2, 0.6), 0.08)
    pen.line(skin, (0.18, 0.62), (0.28, 0.56), 0.06)
    pen.disk(skin, 0.16, 0.89, 0.075)
    helmet = jitter(rng, (150, 130, 110), 50)
    pen.poly(helmet, ((0.05, 0.9), (0.26, 0.92), (0.22, 0.99), (0.14, 1.01), (0.07, 0.97)))


def rider_end(pen: Pen, rng: np.random.Generator, top: Rgb, bottom: Rgb) -> None:
    """A cyclist seen from the front or the rear, about 0.5 heights wide."""
    skin = SKINS[int(rng.integers(4))]
    pedal = float(rng.uniform(-0.06, 0.06))
    pen.poly(bottom, ((-0.17, 0.5), (-0.02, 0.5), (-0.06, 0.16 + pedal), (-0.17, 0.16 + pedal)))
    pen.poly(shade(bottom, 0.85), ((0.02, 0.5), (0.17, 0.5), (0.17, 0.16 - pedal), (0.06, 0.16 - pedal)))
    pen.rect(shade(bottom, 0.45), -0.18, 0.12 + pedal, -0.05, 0.18 + pedal)
    pen.rect(shade(bottom, 0.45), 0.05, 0.12 - pedal, 0.18, 0.18 - pedal)
    pen.disk(RUBBER, 0.0, 0.2, 0.055, 0.2)
    pen.poly(top, ((-0.15, 0.46), (0.15, 0.46), (0.19, 0.78), (0.11, 0.85), (-0.11, 0.85), (-0.19, 0.78)))
    pen.line(shade(top, 0.82), (-0.18, 0.77), (-0.24, 0.52), 0.08)
    pen.line(shade(top, 0.82), (0.18, 0.77), (0.24, 0.52), 0.08)
    pen.line((60, 60, 64), (-0.27, 0.5), (0.27, 0.5), 0.05)
    pen.disk(skin, 0.0, 0.89, 0.08)
    pen.poly(jitter(rng, (150, 130, 110), 50), ((-0.1, 0.91), (0.1, 0.91), (0.07, 0.99), (0.0, 1.02), (-0.07, 0.99)))


def ragged(rng: np.random.Generator, points: int = 22, roughness: Number = 0.12) -> np.ndarray:
    """(points, 2): a round outline of radius about 1 with a ragged edge."""
    angles = np.arange(points) * (2 * math.pi / points)
    radii = 1 + rng.normal(0.0, roughness, points)
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], 1)


def foliage(canvas: Canvas, rng: np.random.Generator, centre: Point, size: Point, color: Rgb, label: int) -> None:
    """A ragged crown or bush with lighter and darker clumps."""
    middle, extent = np.array(centre), np.array(size)
    canvas.polygon(middle + ragged(rng) * extent, shade(color, 0.8), label, convex=False)
    for factor, offset in zip((0.9, 1.05, 1.22), rng.uniform(-0.4, 0.3, (3, 2)), strict=True):
        clump = middle + offset * extent + ragged(rng, 14, 0.16) * extent * 0.45
        canvas.polygon(clump, shade(color, factor), label, convex=False)


def tree(canvas: Canvas, rng: np.random.Generator, foot: Point, height: Number, color: Rgb, label: int) -> None:
    """A trunk and a crown."""
    x, y = foot
    lean, trunk = float(rng.normal(0, 0.03)) * height, jitter(rng, (96, 72, 52), 10)
    wide, top = 0.045 * height, y - 0.55 * height
    stem = ((x - wide, y), (x + wide, y), (x + lean + wide * 0.6, top), (x + lean - wide * 0.6, top))
    canvas.polygon(stem, trunk, label)
    radius = height * float(rng.uniform(0.25, 0.34))
    foliage(canvas, rng, (x + lean, y - 0.7 * height), (radius, height * 0.32), color, label)


def facade(
    canvas: Canvas, rng: np.random.Generator, quad: Sequence[Point], wall: Rgb, glow: Number, label: int
) -> None:
    """A house front on a quadrilateral (bottom left, bottom right, top right, top left) with windows and a shop."""
    canvas.polygon(quad, wall, label)
    wide = math.hypot(quad[1][0] - quad[0][0], quad[1][1] - quad[0][1])
    tall = max(quad[0][1] - quad[3][1], quad[1][1] - quad[2][1])
    columns, floors = max(1, round(wide / rng.uniform(13, 20))), max(1, round(tall / rng.uniform(18, 26)))
    pane = jitter(rng, (88, 100, 114), 12)

    def part(color: Rgb, left: Number, bottom: Number, right: Number, top: Number) -> None:
        corners = ((left, bottom), (right, bottom), (right, top), (left, top))
        canvas.polygon([point_in_quad(quad, u, v) for u, v in corners], color, label)

    part(shade(wall, 1.18), 0.0, 0.965, 1.0, 1.0)
    lit = rng.random((floors - 1, columns)) < glow
    margin, step = float(rng.uniform(0.2, 0.3)), 1.0 / columns
    row, column = np.mgrid[1:floors, 0:columns]
    left, right = (column + margin) * step, (column + 1 - margin) * step
    low, high = (row + 0.25) / floors, (row + 0.8) / floors * 0.97
    windows = np.stack(
        [points_in_quad(quad, u, v) for u, v in ((left, low), (right, low), (right, high), (left, high))], -2
    )
    canvas.polygons(windows[~lit], pane, label)
    canvas.polygons(windows[lit], (250, 214, 130), label)
    ground = min(0.9 / floors, 0.5)
    part(shade(wall, 0.75), 0.0, 0.0, 1.0, ground * 0.12)
    door = float(rng.uniform(0.05, 0.7))
    part(jitter(rng, (96, 66, 50), 20), door, 0.0, door + min(0.2, 9 / wide), ground * 0.8)
    if rng.random() < 0.5:  # a shop with an awning, in colours of cars and clothes
        part(shade(pane, 0.9), 0.3, ground * 0.2, 0.95, ground * 0.75)
        part(jitter(rng, (170, 90, 70), 45), 0.26, ground * 0.75, 0.98, ground)
