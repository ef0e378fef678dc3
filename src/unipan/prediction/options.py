"""What `unipan predict` writes besides panoptic.json, its PNGs, overlays and index.html; which pictures; and where."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, arg
from tyro.constructors import PrimitiveConstructorSpec

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
    overlay_format: Annotated[Literal["png", "jpg"] | None, arg(help_behavior_hint="")] = None
    """Of overlays. JPEG takes a fifth of the room and less time; by default images of more than 2 megapixels have it,
    and others PNG."""
    no_overlays: Annotated[bool, FlagCreatePairsOff, arg(name="no-overlays")] = False
    """No overlays, and of videos none of these either; index.html shows its small pictures alone."""


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
    at_once: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """How many pictures are segmented at once, each on one core; by default one for each core, 8 at most. With 1,
    pictures follow each other, and each has all cores."""


LOCAL = "local"
"""The address of a cluster that lives on this machine as long as the command."""


def _is_address(value: object) -> bool:
    return value is None or isinstance(value, str)


def _words_of(address: str | None) -> list[str]:
    return [] if address is None else [address]


Address = Annotated[
    str | None,
    PrimitiveConstructorSpec(
        nargs=(0, 1),
        metavar="[ADDRESS]",
        instance_from_str=lambda words: words[0] if words else "",
        is_instance=_is_address,
        str_from_instance=_words_of,
    ),
]
"""None where the option is not given, and nothing where it is given alone."""


@dataclass(frozen=True)
class ClusterOptions:
    """Whether the processes of a Ray cluster segment, and what they read."""

    ray: Annotated[Address, arg(help_behavior_hint="")] = None
    """Segment on a Ray cluster (unipan[ray]), which also reads Parquet files and addresses such as s3://BUCKET/FOLDER:
    at ADDRESS, at that of the environment's RAY_ADDRESS, or on the cores of this machine."""
    ray_workers: Annotated[int, arg(metavar="N", help_behavior_hint="")] = 0
    """With --ray: how many processes; by default one for each GPU or core of the cluster."""
    image_column: Annotated[str, arg(metavar="COLUMN")] = "image"
    """With --ray: of a Parquet file, its pictures (their bytes), or where they are (paths or addresses)."""
    id_column: Annotated[str, arg(metavar="COLUMN")] = "id"
    """With --ray: of a Parquet file, the id of each image: whole numbers or text, each once."""


HERE = ClusterOptions()
"""This process segments."""


WHOLE = PictureOptions()
"""One picture in each file, without tiles."""


def check_cluster(cluster: ClusterOptions, out: Path) -> None:
    """Raises ValueError for settings of a cluster without one, fewer than no processes, or results at an address."""
    if cluster.ray is None and cluster != HERE:
        raise ValueError("--ray-workers, --image-column and --id-column are settings of --ray; add it")
    if cluster.ray_workers < 0:
        raise ValueError(f"--ray-workers {cluster.ray_workers}: give 1 or more, or leave it out")
    if cluster.ray is not None and re.match(r"[a-z][a-z0-9+.-]+:/", str(out)):
        raise ValueError(f"--out {out}: results go to a folder that all machines share, not to an address")


def check_overlays(options: ResultOptions) -> None:
    """Raises ValueError where overlays are described and not wanted."""
    if options.no_overlays and (options.no_labels or options.overlay_format):
        raise ValueError("--no-overlays: there are none then; leave out --no-labels and --overlay-format")


def check_pictures(pictures: PictureOptions) -> None:
    """Raises ValueError for settings of tiles without tiles, a negative reach, or no picture at once."""
    if pictures.at_once is not None and pictures.at_once < 1:
        raise ValueError(f"--at-once {pictures.at_once}: give 1 or more")
    if pictures.reach != "everywhere" and pictures.reach < 0:
        raise ValueError(f"--reach {pictures.reach}: give a number of pixels from 0 on, or `everywhere`")
    if not pictures.tiles and pictures != replace(WHOLE, pages=pictures.pages, at_once=pictures.at_once):
        raise ValueError("--scale, --tile-side and --reach are settings of --tiles; add it")
