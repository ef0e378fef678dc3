"""Panels of the paper's figures: image crops at a readable size, marked pixels, hatched void, labelled columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from unipan.panoptic.maps import VOID_ID, PanopticMap
from unipan.visualization.flat import Picture, resize_map
from unipan.visualization.heatmap import diverging
from unipan.visualization.overlay import INK, WHITE, overlay
from unipan.visualization.palette import Color

CELL = (512, 384)
"""Largest width and height of a panel that shows a crop."""
SQUARE = (512, 512)
"""Largest width and height of a panel that shows a whole image."""
GUTTER, MARGIN, LABEL, TEXT = 16, 24, 48, 30
"""Pixels: between panels, around the sheet, above each column for its label, font size of the label."""
BASELINE, SCALE = MARGIN + LABEL - 18, 144
"""Pixels: baseline of the labels from the top, width of the colour scale with its signs."""
VOID_GROUND, VOID_STRIPE = (12, 12, 12), (255, 214, 10)
STRIPE = (8, 2)
"""Pixels: period and width of the stripes along a row."""


AnyPicture = UInt8[np.ndarray, "_ _ 3"]
"""A picture whose size need not agree with that of another argument."""


@dataclass(frozen=True)
class View:
    """A crop of an image, and the size at which it is shown.

    Attributes:
        x, y, width, height: the crop, in pixels of the image.
        tall, wide: height and width of its picture.
    """

    x: int
    y: int
    width: int
    height: int
    tall: int
    wide: int

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> "View":
        """A whole image of `shape` (H, W), enlarged by an integer factor or shrunk to fit SQUARE."""
        height, width = shape
        factor = min(SQUARE[0] // width, SQUARE[1] // height)
        if factor >= 1:
            return cls(0, 0, width, height, factor * height, factor * width)
        scale = min(SQUARE[0] / width, SQUARE[1] / height)
        return cls(0, 0, width, height, max(1, round(scale * height)), max(1, round(scale * width)))

    @classmethod
    def around(cls, box: tuple[float, float, float, float], shape: tuple[int, int]) -> "View":
        """The crop around a box (x0 y0 x1 y1), enlarged by the largest factor up to 6 that leaves a margin."""
        height, width = shape
        x0, y0, x1, y1 = box
        for factor in (6, 5, 4, 3, 2, 1):
            wide, tall = min(CELL[0] // factor, width), min(CELL[1] // factor, height)
            if wide >= min(1.6 * (x1 - x0), width) and tall >= min(1.3 * (y1 - y0), height):
                x = min(max(round((x0 + x1 - wide) / 2), 0), width - wide)
                y = min(max(round((y0 + y1 - tall) / 2), 0), height - tall)
                return cls(x, y, wide, tall, factor * tall, factor * wide)
        return cls.whole(shape)

    def photo(self, image: Picture) -> UInt8[np.ndarray, "tall wide 3"]:
        """The crop of an image, interpolated."""
        part = image[self.y : self.y + self.height, self.x : self.x + self.width]
        way = cv2.INTER_AREA if self.wide < self.width else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(part, (self.wide, self.tall), interpolation=way), np.uint8)

    def values(self, field: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "tall wide"]:
        """The crop of a scalar field, with bilinear interpolation."""
        part = field[self.y : self.y + self.height, self.x : self.x + self.width].astype(np.float32)
        return np.asarray(cv2.resize(part, (self.wide, self.tall), interpolation=cv2.INTER_LINEAR), np.float32)

    def part(self, panoptic: PanopticMap) -> PanopticMap:
        """The crop of a panoptic map, without interpolation; its segments still describe the whole map."""
        ids = panoptic.ids[self.y : self.y + self.height, self.x : self.x + self.width]
        return resize_map(PanopticMap(ids, panoptic.segments), (self.tall, self.wide))

    def place(self, x: int, y: int) -> tuple[int, int]:
        """The centre of the image's pixel (x, y) in the picture."""
        across, down = self.wide / self.width, self.tall / self.height
        return int((x - self.x + 0.5) * across), int((y - self.y + 0.5) * down)

    def boxes(self, boxes: Float[np.ndarray, "D 4"]) -> Float[np.ndarray, "D 4"]:
        """Boxes (x0 y0 x1 y1) in pixels of the picture; they may extend beyond it."""
        scale = np.array([self.wide / self.width, self.tall / self.height] * 2)
        return np.asarray((boxes - np.array([self.x, self.y] * 2)) * scale)


def panoptic_panel(
    view: View, image: Picture, panoptic: PanopticMap, colors: Mapping[int, Color]
) -> UInt8[np.ndarray, "tall wide 3"]:
    """A panoptic map over its image, void hatched. `colors`: segment id -> RGB."""
    part = view.part(panoptic)
    return hatch(overlay(view.photo(image), part, colors), part.ids == VOID_ID)


def hatch(picture: Picture, region: Bool[np.ndarray, "H W"]) -> Picture:
    """The picture with yellow stripes on black in a region; plain black could be mistaken for a dark object."""
    step, width = STRIPE
    rows, columns = np.indices(region.shape)
    stripes = (rows + columns) % step < width
    hatched = picture.copy()
    hatched[region] = VOID_GROUND
    hatched[region & stripes] = VOID_STRIPE
    return hatched


def boxes_panel(
    view: View, image: Picture, boxes: Float[np.ndarray, "D 4"], colors: Sequence[Color], strong: int | None = None
) -> UInt8[np.ndarray, "tall wide 3"]:
    """The image with boxes (x0 y0 x1 y1 in pixels of the image); the `strong` one is thicker and drawn last."""
    picture = np.ascontiguousarray(view.photo(image))
    order = sorted(range(len(boxes)), key=lambda index: index == strong)
    placed = np.rint(view.boxes(boxes)).astype(int)
    for index in order:
        x0, y0, x1, y1 = placed[index].tolist()
        line = 4 if index == strong else 2
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), INK, line + 2)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colors[index], line)
    return picture


def cross(picture: Picture, x: int, y: int, reach: int = 13) -> Picture:
    """The picture with a white, dark-rimmed cross at (x, y), visible on any background."""
    marked = np.ascontiguousarray(picture.copy())
    for color, thick in ((INK, 11), (WHITE, 4)):
        for slope in (-1, 1):
            ends = ((x - reach, y - slope * reach), (x + reach, y + slope * reach))
            cv2.line(marked, *ends, color, thick, cv2.LINE_AA)
    return marked


def corners(picture: Picture, box: tuple[float, float, float, float], reach: int = 16) -> Picture:
    """The picture with the four corners of a box (in its own pixels) in white on dark; nothing inside is hidden."""
    marked = np.ascontiguousarray(picture.copy())
    height, width = picture.shape[:2]
    x0, y0 = max(round(box[0]), 3), max(round(box[1]), 3)
    x1, y1 = min(round(box[2]), width - 4), min(round(box[3]), height - 4)
    reach = min(reach, (x1 - x0) // 3, (y1 - y0) // 3)
    for color, thick in ((INK, 6), (WHITE, 2)):
        for x, across in ((x0, 1), (x1, -1)):
            for y, down in ((y0, 1), (y1, -1)):
                cv2.line(marked, (x, y), (x + across * reach, y), color, thick)
                cv2.line(marked, (x, y), (x, y + down * reach), color, thick)
    return marked


@dataclass(frozen=True)
class Panel:
    """A picture and the position (x, y) of its cross, which may extend over the edge."""

    picture: Picture
    cross: tuple[int, int] | None = None


def sheet(columns: Sequence[str], rows: Sequence[Sequence[Panel]], signed: Sequence[int] = ()) -> AnyPicture:
    """Panels in rows and columns on white, a label above each column.

    Args:
        columns: their labels.
        rows: one panel per column; a row is as high as its highest panel.
        signed: columns drawn with `diverging`; a small colour scale is shown next to their labels.

    Raises:
        ValueError: a row does not have one panel per label.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"sheet: {len(row)} panels under {len(columns)} labels; give one for each")
    words = [int(ImageFont.load_default(TEXT).getlength(text)) + 1 for text in columns]
    least = [width + (SCALE + 20) * (column in signed) for column, width in enumerate(words)]
    widths = [max(label, *(row[column].picture.shape[1] for row in rows)) for column, label in enumerate(least)]
    lefts = [MARGIN + sum(widths[:column]) + column * GUTTER for column in range(len(columns))]
    heights = [max(panel.picture.shape[0] for panel in row) for row in rows]
    tall = MARGIN + LABEL + sum(heights) + GUTTER * (len(rows) - 1) + MARGIN
    page = np.full((tall, lefts[-1] + widths[-1] + MARGIN, 3), 255, np.uint8)
    for column, text in enumerate(columns):
        page = _label(page, text, lefts[column])
        if column in signed:
            page = _scale(page, lefts[column] + widths[column])
    top = MARGIN + LABEL
    crosses = []
    for row, height in zip(rows, heights, strict=True):
        for panel, left, width in zip(row, lefts, widths, strict=True):
            deep, wide = panel.picture.shape[:2]
            y, x = top + (height - deep) // 2, left + (width - wide) // 2
            page[y : y + deep, x : x + wide] = panel.picture
            if panel.cross is not None:
                crosses.append((x + panel.cross[0], y + panel.cross[1]))
        top += height + GUTTER
    for x, y in crosses:  # after all panels, so that no panel covers a cross
        page = cross(page, x, y)
    return page


def stack(sheets: Sequence[AnyPicture]) -> AnyPicture:
    """Sheets stacked vertically, padded to the widest."""
    width = max(sheet.shape[1] for sheet in sheets)
    parts = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets]
    return np.asarray(np.concatenate(parts), np.uint8)


def _label(page: Picture, text: str, left: int) -> Picture:
    picture = Image.fromarray(page)
    # Pillow's own font makes figures look the same on every machine; it has no Greek letters
    ImageDraw.Draw(picture).text((left, BASELINE), text, INK, ImageFont.load_default(TEXT), anchor="ls")
    return np.array(picture)


def _scale(page: Picture, right: int) -> Picture:
    """The scale of `diverging` between a minus and a plus, SCALE wide, ending at `right`."""
    marked, middle, sign = page.copy(), BASELINE - 9, 7
    minus, plus = right - SCALE + sign, right - sign - 1
    start, end = minus + sign + 10, plus - sign - 10
    marked[middle - 7 : middle + 7, start:end] = diverging(np.linspace(-1, 1, end - start)[None].repeat(14, 0))
    for x in (minus, plus):
        cv2.line(marked, (x - sign, middle), (x + sign, middle), INK, 2)
    cv2.line(marked, (plus, middle - sign), (plus, middle + sign), INK, 2)
    return marked


def contour(picture: Picture, region: Bool[np.ndarray, "H W"]) -> Picture:
    """The picture with the outlines of a region, dark with a light rim."""
    found, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    marked = np.ascontiguousarray(picture.copy())
    for color, thick in ((WHITE, 5), (INK, 2)):
        cv2.drawContours(marked, found, -1, color, thick)
    return marked
