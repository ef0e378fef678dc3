"""What `unipan predict` writes besides panoptic.json, its PNGs, overlays and index.html."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, arg

Wanted = Annotated[bool, FlagCreatePairsOff]


@dataclass(frozen=True)
class ResultOptions:
    """The files for each image that are written on request; none of them goes to a test server."""

    csv: Wanted = False
    """Also DIR/segments.csv: class, score, area, box, centroid and diameter of every segment, and with scikit-image
    (unipan[measure]) its perimeter and eccentricity, in pixels; and DIR/classes.csv: count, area and scores of every
    class in every image."""
    geojson: Wanted = False
    """Also DIR/geojson/*.geojson: the segments as polygons along the edges of pixels, for QuPath and GIS tools."""
    tiff: Wanted = False
    """Also DIR/labels/*.tif: 16-bit pictures of segment ids, for Fiji, napari and QuPath."""
    margin: Wanted = False
    """Also DIR/margin/*.npy and *.png: by how much the best channel of P leads the second one, so low is unsure."""
    no_labels: Annotated[bool, FlagCreatePairsOff, arg(name="no-labels")] = False
    """Overlays without names, scores and legend, at the size of the image."""


NOTHING_MORE = ResultOptions()


@dataclass(frozen=True)
class PictureOptions:
    """Which pictures files hold, and how they are segmented: as a whole or in tiles."""

    pages: Annotated[str | None, arg(metavar="PAGES", help_behavior_hint="")] = None
    """The pages of TIFF stacks and the frames of animations are pictures, too: all, or those of these numbers, from
    1 on: 3, 2-5, 1,4,7-9."""
    tiles: Wanted = False
    """Segment each picture at its own resolution, in tiles that are computed one by one and do not show;
    without it, pictures are resized to the size of the training. More things may be found, the larger the picture."""
    scale: Annotated[float, arg(metavar="FACTOR")] = 1.0
    """With --tiles: resize each picture by this factor first."""
    tile_side: Annotated[int, arg(metavar="PIXELS")] = 1024
    """With --tiles: of each tile, a multiple of 64; less takes less memory and more time."""
    reach: Annotated[int | Literal["everywhere"], arg(metavar="PIXELS|everywhere")] = 8
    """With --tiles: how far from its box a thing may win pixels. `everywhere` is the paper's rule, with the result of
    the whole picture; in pictures much larger than those of the training it is slow and usually worse."""


WHOLE = PictureOptions()
"""One picture in each file, without tiles."""


def check_tiles(pictures: PictureOptions) -> None:
    """Raises ValueError for settings of tiles without tiles, or a negative reach."""
    if pictures.reach != "everywhere" and pictures.reach < 0:
        raise ValueError(f"--reach {pictures.reach}: give a number of pixels from 0 on, or `everywhere`")
    if not pictures.tiles and pictures != replace(WHOLE, pages=pictures.pages):
        raise ValueError("--scale, --tile-side and --reach are settings of --tiles; add it")
