"""The streets of the scenes: where the things are, and the ground, houses and trees around them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from unipan.datasets.scenes import shapes
from unipan.datasets.scenes.shapes import HEIGHT, WIDTH, Canvas, Number, Pen, Rgb, jitter, shade

SKY, BUILDING, VEGETATION, ROAD, SIDEWALK = 1, 2, 3, 4, 5
FIRST_THING = 6

_CARS: tuple[Rgb, ...] = (
    (128, 130, 134), (96, 98, 104), (168, 170, 172), (212, 212, 208), (56, 58, 64), (168, 56, 48),
    (64, 96, 150), (92, 120, 84), (182, 160, 122), (196, 160, 70), (120, 76, 62),
)  # fmt: skip
_BUSES: tuple[Rgb, ...] = ((190, 120, 70), (176, 72, 60), (196, 176, 120), (110, 126, 140), (98, 138, 112))
_WALLS: tuple[Rgb, ...] = (
    (184, 150, 118), (168, 92, 74), (150, 148, 146), (196, 180, 148), (120, 128, 140), (142, 152, 122), (188, 130, 84),
)  # fmt: skip
_CLOTHES: tuple[Rgb, ...] = (
    (70, 78, 96), (92, 114, 66), (122, 88, 62), (160, 62, 56), (66, 100, 142), (132, 130, 128), (186, 172, 148),
    (52, 52, 56), (196, 152, 72),
)  # fmt: skip

_Box = tuple[Number, Number, Number, Number]
_Draw = Callable[[Pen, np.random.Generator, Rgb, Rgb], None]


def _one_color(draw: Callable[[Pen, np.random.Generator, Rgb], None]) -> _Draw:
    return lambda pen, rng, first, _: draw(pen, rng, first)


VIEWS: dict[str, tuple[int, float, float, _Draw]] = {
    # name: class index, height per distance below the horizon, width per height, how to draw it
    "car_side": (0, 0.60, 2.5, _one_color(shapes.car_side)),
    "car_end": (0, 0.62, 1.25, _one_color(shapes.car_end)),
    "car_corner": (0, 0.62, 1.9, _one_color(shapes.car_corner)),
    "bus_side": (1, 1.05, 2.4, _one_color(shapes.bus_side)),
    "bus_end": (1, 1.15, 0.85, _one_color(shapes.bus_end)),
    "bus_corner": (1, 1.12, 1.5, _one_color(shapes.bus_corner)),
    "person": (2, 0.92, 0.46, shapes.person),
    "rider_side": (3, 0.88, 1.06, shapes.rider_side),
    "rider_end": (3, 0.92, 0.5, shapes.rider_end),
}


@dataclass
class Item:
    """A thing to draw; `hidden` is the share of it that others cover, estimated from boxes."""

    view: str
    x: Number
    y: Number
    height: float
    colors: tuple[Rgb, Rgb]
    flip: bool
    hidden: float = 0.0

    @property
    def box(self) -> _Box:
        """Left, top, right, bottom in units."""
        half = self.height * VIEWS[self.view][2] / 2
        return self.x - half, self.y - self.height, self.x + half, self.y


@dataclass
class Street:
    """The ground: a street along the view runs to `vanish`, one across the view is between two rows."""

    rng: np.random.Generator
    across: bool
    horizon: float
    vanish: float
    left: float
    right: float
    outer_left: float
    outer_right: float
    far: float
    near: float
    items: list[Item] = field(default_factory=list)

    def toward(self, x: Number, y: Number) -> Number:
        """The x at row y of the line from (x, bottom of the image) to the vanishing point."""
        return self.vanish + (x - self.vanish) * (y - self.horizon) / (HEIGHT - self.horizon)

    def place(self, view: str, x: Number, y: Number, colors: tuple[Rgb, Rgb], flip: bool) -> bool:
        """Add a thing unless it would leave the image or be hidden, or hide others, too much."""
        item = Item(view, x, y, (y - self.horizon) * VIEWS[view][1], colors, flip)
        box = item.box
        if _overlap(box, (0, 0, WIDTH, HEIGHT)) < 0.6 * _area(box):
            return False
        hides: list[tuple[Item, float]] = []
        for other in self.items:
            common = 0.9 * _overlap(box, other.box)
            back = item if item.y < other.y else other
            hides.append((back, common / _area(back.box)))
        own = sum(share for back, share in hides if back is item)
        others = [(back, share) for back, share in hides if back is not item]
        if own > 0.6 or any(share > 0.04 and back.hidden + share > 0.6 for back, share in others):
            return False
        item.hidden = own
        for back, share in others:
            back.hidden += share
        self.items.append(item)
        return True


def _area(box: _Box) -> Number:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: _Box, b: _Box) -> Number:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def lay_street(rng: np.random.Generator) -> Street:
    """A random street without things."""
    across = bool(rng.random() < 0.5)
    horizon = float(rng.uniform(26, 36) if across else rng.uniform(34, 46))
    left, right = float(rng.uniform(-70, 20)), float(rng.uniform(236, 326))
    outer = rng.uniform(70, 120, 2)
    far = horizon + float(rng.uniform(33, 40))
    return Street(
        rng, across, horizon, float(rng.uniform(90, 166)), left, right, left - float(outer[0]),
        right + float(outer[1]), far, float(rng.uniform(108, 132)),
    )  # fmt: skip


def _pick(rng: np.random.Generator, palette: tuple[Rgb, ...], spread: Number = 10) -> Rgb:
    return jitter(rng, palette[int(rng.integers(len(palette)))], spread)


def _similar(rng: np.random.Generator, colors: tuple[Rgb, Rgb]) -> tuple[Rgb, Rgb]:
    return jitter(rng, colors[0], 6), jitter(rng, colors[1], 6)


# ---- things ----------------------------------------------------------------------------------------------------


def _parked_row(street: Street) -> None:
    """Cars of similar colour next to or behind each other."""
    rng = street.rng
    color = _pick(rng, _CARS)
    flip = bool(rng.random() < 0.5)
    if street.across:
        view = ("car_end", "car_corner", "car_side")[int(rng.integers(3))]
        y = float(rng.uniform(street.far + 8, min(street.near, 112)))
        step = (y - street.horizon) * VIEWS[view][1] * VIEWS[view][2] * float(rng.uniform(0.62, 0.85))
        x, slope = float(rng.uniform(0, 150)), float(rng.uniform(0.02, 0.08)) * (-1 if flip else 1)
        for k in range(int(rng.integers(2, 5))):
            street.place(view, x + k * step, y + k * step * slope, _similar(rng, (color, color)), flip)
        return
    depth = float(rng.uniform(0.75, 0.95))
    for _ in range(int(rng.integers(2, 4))):
        y = street.horizon + (HEIGHT - street.horizon) * depth
        half = (y - street.horizon) * 0.62 * 0.95
        x = street.toward(street.right, y) - half * 0.9 if flip else street.toward(street.left, y) + half * 0.9
        street.place("car_corner", x, y, _similar(rng, (color, color)), not flip)
        depth *= float(rng.uniform(0.72, 0.8))


def _traffic(street: Street, view: str, palette: tuple[Rgb, ...]) -> None:
    """A moving car or bus anywhere on the road."""
    rng = street.rng
    color = _pick(rng, palette)
    for _ in range(4):
        if street.across:
            y = float(rng.uniform(street.far + 5, min(street.near, 106)))
            x = float(rng.uniform(20, 236))
        else:
            y = float(rng.uniform(78, 112))
            x = float(rng.uniform(street.toward(street.left, y) + 12, street.toward(street.right, y) - 12))
        if street.place(view, x, y, (color, color), bool(rng.random() < 0.5)):
            return


def _group(street: Street) -> None:
    """Persons in similar clothes side by side."""
    rng = street.rng
    colors = (_pick(rng, _CLOTHES), _pick(rng, _CLOTHES))
    y = float(rng.uniform(92, 126))
    if street.across or rng.random() < 0.3:
        x = float(rng.uniform(15, 220))
    else:
        kerb = street.toward(street.left, y) if rng.random() < 0.5 else street.toward(street.right, y)
        x = min(max(kerb + float(rng.uniform(-25, 15)), 14), 230)
    for _ in range(int(rng.integers(2, 5))):
        lower = y + float(rng.uniform(-3, 3))
        street.place("person", x, min(lower, 128), _similar(rng, colors), bool(rng.random() < 0.5))
        x += (y - street.horizon) * 0.92 * float(rng.uniform(0.28, 0.44))


def _walker(street: Street, view: str) -> None:
    """A single person or rider anywhere."""
    rng = street.rng
    colors = (_pick(rng, _CLOTHES), _pick(rng, _CLOTHES))
    for _ in range(3):
        x, y = float(rng.uniform(12, 244)), float(rng.uniform(84, 125))
        if street.place(view, x, y, colors, bool(rng.random() < 0.5)):
            if view == "rider_side" and rng.random() < 0.4:  # with a second rider
                street.place(view, x + float(rng.uniform(12, 26)), y + 3, _similar(rng, colors), street.items[-1].flip)
            return


def populate(street: Street) -> None:
    """Choose and place the things, leaving out those that others would hide too much."""
    rng = street.rng
    bus = ("bus_side", "bus_end", "bus_corner") if street.across else ("bus_end", "bus_corner", "bus_end")
    car = ("car_side", "car_side", "car_corner") if street.across else ("car_end", "car_corner", "car_end")
    wanted: list[Callable[[], None]] = []
    if rng.random() < 0.5:
        wanted.append(partial(_traffic, street, bus[int(rng.integers(3))], _BUSES))
    if rng.random() < 0.8:
        wanted.append(partial(_parked_row, street))
    if rng.random() < 0.8:
        wanted.append(partial(_group, street))
    wanted.append(partial(_walker, street, ("rider_side", "rider_end")[int(rng.random() < 0.35)]))
    if rng.random() < 0.3:
        wanted.pop()
    fillers: list[Callable[[], None]] = [
        partial(_traffic, street, car[int(rng.integers(3))], _CARS),
        partial(_walker, street, "person"),
        partial(_group, street),
        partial(_parked_row, street),
    ]
    for add in wanted:
        add()
    for _ in range(6):
        if len(street.items) >= 6:
            break
        fillers[int(rng.integers(4))]()


# ---- background ------------------------------------------------------------------------------------------------


def draw_sky(canvas: Canvas, rng: np.random.Generator, horizon: Number, dusk: bool) -> None:
    """A gradient from the top to the horizon, and a few clouds."""
    day: tuple[Rgb, ...] = ((110, 160, 220), (150, 180, 210), (176, 182, 190))
    above = _pick(rng, ((238, 160, 120), (150, 130, 170)) if dusk else day)
    low = jitter(rng, (250, 200, 150) if dusk else (214, 224, 234), 8)
    rows = round(canvas.cells.shape[0] * min(1.0, (horizon + 12) / HEIGHT))
    mix = np.linspace(0, 1, rows)[:, None]
    gradient = np.clip((1 - mix) * np.array(above) + mix * np.array(low), 0, 255)
    canvas.cells[:rows, :, :3] = gradient[:, None]
    canvas.cells[:rows, :, 3] = SKY
    for _ in range(int(rng.integers(0, 4))):
        x, y, wide = float(rng.uniform(0, 256)), float(rng.uniform(0, horizon * 0.7)), float(rng.uniform(12, 34))
        for shift in (-0.5, 0.1, 0.55):
            outline = shapes.ragged(rng, 14, 0.08) * (wide * 0.6, wide * 0.2) + (x + shift * wide, y)
            canvas.polygon(outline, jitter(rng, shade(low, 1.06), 3), SKY, convex=False)


def _leaves(rng: np.random.Generator) -> Rgb:
    return _pick(rng, ((84, 116, 58), (66, 98, 60), (116, 124, 62), (134, 110, 58)), 8)


def draw_across(canvas: Canvas, street: Street, glow: Number) -> None:
    """Ground in bands, and behind it a row of houses, gardens and trees."""
    rng, h = street.rng, street.horizon
    base = street.far - float(rng.uniform(9, 14))
    walk, asphalt = jitter(rng, (158, 152, 146), 12), jitter(rng, (104, 104, 108), 10)
    canvas.polygon(((0, h), (WIDTH, h), (WIDTH, HEIGHT), (0, HEIGHT)), walk, SIDEWALK)
    canvas.polygon(((0, h), (WIDTH, h), (WIDTH, base), (0, base)), shade(_leaves(rng), 0.9), VEGETATION)
    x = float(rng.uniform(-30, 0))
    while x < WIDTH:
        wide, kind = float(rng.uniform(36, 84)), rng.random()
        if kind < 0.8:
            top = base - float(rng.uniform(34, 80))
            quad = ((x, base), (x + wide, base), (x + wide, top), (x, top))
            shapes.facade(canvas, rng, quad, _pick(rng, _WALLS), glow, BUILDING)
        else:
            for _ in range(3):
                centre = (x + float(rng.uniform(0, wide)), base - float(rng.uniform(6, 16)))
                shapes.foliage(canvas, rng, centre, (wide * 0.35, 16), _leaves(rng), VEGETATION)
        x += wide
    near = street.near
    canvas.polygon(((0, street.far), (WIDTH, street.far), (WIDTH, near), (0, near)), asphalt, ROAD)
    for y in (street.far, near):
        canvas.polygon(((0, y - 0.8), (WIDTH, y - 0.8), (WIDTH, y + 0.8), (0, y + 0.8)), shade(walk, 1.2), SIDEWALK)
    middle, mark = street.far + 0.42 * (near - street.far), jitter(rng, (196, 194, 186), 6)
    for x in np.arange(float(rng.uniform(-30, 0)), WIDTH, 44):
        canvas.polygon(((x, middle), (x + 24, middle), (x + 23, middle + 2), (x - 1, middle + 2)), mark, ROAD)
    if rng.random() < 0.8:
        for _ in range(int(rng.integers(1, 4))):
            foot = (float(rng.uniform(0, WIDTH)), street.far - float(rng.uniform(2, 7)))
            shapes.tree(canvas, rng, foot, float(rng.uniform(42, 66)), _leaves(rng), VEGETATION)


def draw_along(canvas: Canvas, street: Street, glow: Number) -> None:
    """Ground that runs to the vanishing point, with houses and trees on both sides."""
    rng, h, vanish = street.rng, street.horizon, street.vanish
    walk, asphalt = jitter(rng, (158, 152, 146), 12), jitter(rng, (104, 104, 108), 10)
    canvas.polygon(((0, h), (WIDTH, h), (WIDTH, HEIGHT), (0, HEIGHT)), walk, SIDEWALK)
    for x in np.linspace(street.outer_left, street.outer_right, 14):
        canvas.polygon(((vanish, h), (x, HEIGHT), (x + 1.6, HEIGHT)), shade(walk, 0.93), SIDEWALK)
    shapes.foliage(canvas, rng, (vanish, h - 2), (float(rng.uniform(20, 44)), 12), _leaves(rng), VEGETATION)
    kerb = ((vanish, h), (street.right + 3, HEIGHT), (street.left - 3, HEIGHT))
    canvas.polygon(kerb, shade(walk, 1.2), SIDEWALK)
    canvas.polygon(((vanish, h), (street.right, HEIGHT), (street.left, HEIGHT)), asphalt, ROAD)
    mark, middle = jitter(rng, (196, 194, 186), 6), (street.left + street.right) / 2
    for depth in (0.9, 0.62, 0.43, 0.3, 0.2):
        y0, y1 = (h + (HEIGHT - h) * d for d in (depth, depth * 0.84))
        quad = [(street.toward(middle + dx, y), y) for dx, y in ((-4, y0), (4, y0), (4, y1), (-4, y1))]
        canvas.polygon(quad, mark, ROAD)
    for outer in (street.outer_left, street.outer_right):
        _draw_side(canvas, street, outer, glow)


def _draw_side(canvas: Canvas, street: Street, outer: float, glow: Number) -> None:
    """One side of a street along the view, from far to near."""
    rng, h = street.rng, street.horizon
    edges = [0.14, 0.22, 0.34, 0.52, 0.8, 1.3]
    for start, end in itertools.pairwise(edges):
        (x0, y0), (x1, y1) = ((street.toward(outer, y), y) for y in (h + (HEIGHT - h) * start, h + (HEIGHT - h) * end))
        if rng.random() < 0.75:
            tall = float(rng.uniform(1.3, 3.4)) * (HEIGHT - h)
            quad = ((x0, y0), (x1, y1), (x1, y1 - tall * end), (x0, y0 - tall * start))
            shapes.facade(canvas, rng, quad, _pick(rng, _WALLS), glow, BUILDING)
        else:
            centre, radius = ((x0 + x1) / 2, y0 - 8 * start), max(abs(x1 - x0) * 0.8, 8.0)
            shapes.foliage(canvas, rng, centre, (radius, 30 * start + 6), _leaves(rng), VEGETATION)
        if rng.random() < 0.4 and end < 1:
            x = street.toward(outer + (street.left - outer if outer < 0 else street.right - outer) * 0.6, y1)
            tall = float(rng.uniform(1.2, 1.7)) * (y1 - h)
            shapes.tree(canvas, rng, (x, y1), tall, _leaves(rng), VEGETATION)
