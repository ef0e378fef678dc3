"""The options of `unipan predict`: which files it also writes, what it reads from a file, and where it runs."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, arg
from tyro.constructors import PrimitiveConstructorSpec

Wanted = Annotated[bool, FlagCreatePairsOff]


@dataclass(frozen=True)
class ResultOptions:
    """Files that are written for each image on request; test servers get none of them."""

    csv: Wanted = False
    """Also write DIR/segments.csv, with the class, score, area, box, centroid and diameter of every segment (in pixels;
    with unipan[measure] also perimeter and eccentricity), and DIR/classes.csv, with the count, area and scores of every
    class in every image."""
    geojson: Wanted = False
    """Also write DIR/geojson/*.geojson: segments as polygons along pixel edges, for QuPath and GIS tools."""
    tiff: Wanted = False
    """Also write DIR/labels/*.tif: 16-bit label images of segment ids, for Fiji, napari and QuPath."""
    margin: Wanted = False
    """Also write DIR/margin/*.npy and *.png: the best channel of P minus the second best. Where it is low, the network
    is unsure."""
    labels: bool = True
    """Draw overlays with names, scores and a legend, small images enlarged; without, at the size of the image."""
    overlay_format: Annotated[Literal["png", "jpg"] | None, arg(metavar="png|jpg", help_behavior_hint="")] = None
    """File format of the overlays. JPEG files are a fifth as large and faster to write. By default, overlays of images
    of more than 2 megapixels are JPEG, others PNG."""
    no_overlays: Annotated[bool, FlagCreatePairsOff, arg(name="no-overlays")] = False
    """Write no overlays, neither pictures nor videos; index.html shows thumbnails only."""


NOTHING_MORE = ResultOptions()


@dataclass(frozen=True)
class PictureOptions:
    """Which pictures of a file are segmented, and how: whole or in tiles."""

    pages: Annotated[str | None, arg(metavar="PAGES", help_behavior_hint="")] = None
    """Segment pages of TIFF stacks and frames of animations: `all`, or numbers counted from 1, such as 3, 2-5 or
    1,4,7-9."""
    tiles: Annotated[Wanted, arg(aliases=("--crop-tiles",))] = False
    """Segment each picture at its own resolution, in tiles that leave no seams and need less memory. The larger the
    picture, the more things may be found. Without it, a picture is resized as in training."""
    scale: Annotated[float, arg(metavar="FACTOR")] = 1.0
    """With --tiles: resize each picture by this factor first."""
    tile_side: Annotated[int, arg(metavar="PIXELS")] = 1024
    """With --tiles: side of a tile, a multiple of 64. Smaller tiles take less memory and more time."""
    reach: Annotated[int | Literal["everywhere"], arg(metavar="PIXELS|everywhere")] = 8
    """With --tiles: how far outside its box a thing may win pixels. `everywhere` is the paper's rule and gives the
    result of the whole picture; it is slow and usually worse on pictures much larger than those of the training."""
    at_once: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Number of pictures that are segmented at the same time, each on one core; by default one per core, at most 8.
    With 1, each picture uses all cores."""


LOCAL = "local"
"""The address of a cluster on this machine that ends with the command."""


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
"""None if the option is not given, empty if it is given without an address."""


@dataclass(frozen=True)
class ClusterOptions:
    """Whether a Ray cluster segments the images, and what it reads."""

    ray: Annotated[Address, arg(help_behavior_hint="")] = None
    """Segment on a Ray cluster (unipan[ray]): the one at ADDRESS or in the variable RAY_ADDRESS, otherwise the cores of
    this machine. It also reads Parquet files and addresses such as s3://BUCKET/FOLDER."""
    ray_workers: Annotated[int, arg(metavar="N", help_behavior_hint="")] = 0
    """With --ray: number of processes; by default one per GPU, or per core without GPUs."""
    image_column: Annotated[str, arg(metavar="COLUMN")] = "image"
    """With --ray: the Parquet column with the pictures: their bytes, paths or addresses."""
    id_column: Annotated[str, arg(metavar="COLUMN")] = "id"
    """With --ray: the Parquet column with the image ids: unique whole numbers or texts."""


HERE = ClusterOptions()
"""This process segments."""


WHOLE = PictureOptions()
"""One picture in each file, without tiles."""


def check_cluster(cluster: ClusterOptions) -> None:
    """Raises ValueError for settings of a cluster without one, or fewer than no processes."""
    if cluster.ray is None and cluster != HERE:
        raise ValueError("--ray-workers, --image-column and --id-column need --ray; add it")
    if cluster.ray_workers < 0:
        raise ValueError(f"--ray-workers {cluster.ray_workers}: give 1 or more, or leave it out")


def check_overlays(options: ResultOptions) -> None:
    """Raises ValueError where overlays are described and not wanted."""
    if options.no_overlays and (not options.labels or options.overlay_format):
        raise ValueError("--no-overlays: then --no-labels and --overlay-format have no effect; leave them out")


def check_pictures(pictures: PictureOptions) -> None:
    """Raises ValueError for settings of tiles without tiles, a negative reach, or no picture at once."""
    if pictures.at_once is not None and pictures.at_once < 1:
        raise ValueError(f"--at-once {pictures.at_once}: give 1 or more")
    if pictures.reach != "everywhere" and pictures.reach < 0:
        raise ValueError(f"--reach {pictures.reach}: give a number of pixels from 0 on, or `everywhere`")
    if not pictures.tiles and pictures != replace(WHOLE, pages=pictures.pages, at_once=pictures.at_once):
        raise ValueError("--scale, --tile-side and --reach need --tiles; add it")
