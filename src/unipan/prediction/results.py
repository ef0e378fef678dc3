"""What `unipan predict` writes for each image besides its PNG, and the page and the table of all images."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from unipan import __version__
from unipan.arrays import UInt8
from unipan.files import write_atomically, write_json
from unipan.outputs import signature
from unipan.panoptic.categories import Categories
from unipan.panoptic.images import read_image
from unipan.panoptic.label_tiff import label_tiff
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import png_of_rgb
from unipan.panoptic.polygons import to_geojson
from unipan.panoptic.segment_table import class_csv, csv_of, segment_table
from unipan.prediction.images import ImageJob
from unipan.prediction.options import ResultOptions
from unipan.prediction.videos import Video, write_video
from unipan.visualization.flat import Picture, resize_ids
from unipan.visualization.margin_picture import margin_picture
from unipan.visualization.named_overlay import STUFF_ALPHA, THING_ALPHA, named_overlay
from unipan.visualization.overlay import overlay, shrink
from unipan.visualization.pages import write_page
from unipan.visualization.palette import segment_colors
from unipan.visualization.prediction_page import PredictedImage, PredictionPage

JPEG_FROM = 2_000_000
"""Pixels: overlays of larger images are JPEG, a tenth of the size of a PNG."""
OVERLAY_QUALITY = 90
THUMBNAIL = 320
"""Pixels: the longer side of a picture on the page."""


@dataclass(frozen=True)
class ListedImage:
    """What the page and the table say of an image whose files are written.

    Attributes:
        row: of the page.
        table: rows of segments.csv; none if it is not wanted.
    """

    row: PredictedImage
    table: list[dict[str, Any]]

    @property
    def files(self) -> list[str]:
        """The names of its files, below the folder."""
        margin = self.row.files.get("margin")
        arrays = [] if margin is None else [str(PurePosixPath(margin).with_suffix(".npy"))]
        return [*self.row.files.values(), self.row.thumbnail, *arrays]

    @classmethod
    def of(cls, values: dict[str, Any]) -> "ListedImage":
        """From `dataclasses.asdict`, through JSON."""
        row = values["row"]
        return cls(PredictedImage(**{**row, "size": tuple(row["size"])}), values["table"])


class ResultFolder:
    """The pictures and tables in DIR of `unipan predict --out DIR`."""

    def __init__(self, folder: Path, options: ResultOptions, categories: Categories, about: str) -> None:
        """Start without images; `about` says on the page what made them."""
        self.folder, self.options, self.categories, self.about = folder, options, categories, about
        self._rows: list[PredictedImage] = []
        self._segments: list[dict[str, Any]] = []
        self._clips: dict[str, tuple[Video, list[str]]] = {}

    def write(self, job: ImageJob, result: PanopticMap, image: Picture, margin: np.ndarray | None) -> "ListedImage":
        """Write everything about one image but its PNG; returns what `keep` takes. Threads may do this at once.

        Args:
            job: its name.
            result: its map.
            image: itself, RGB.
            margin: of every pixel, if it is wanted.

        Raises:
            OSError: a file cannot be written.
        """
        files = {"ids": f"panoptic/{job.png}"}
        if not self.options.no_overlays:
            files["overlay"] = self._overlay(job, result, image)
        if self.options.geojson:
            files["GeoJSON"] = f"geojson/{job.png.with_suffix('.geojson')}"
            write_json(self.folder / files["GeoJSON"], to_geojson(result, job.name))
        if self.options.tiff:
            files["TIFF"] = f"labels/{job.png.with_suffix('.tif')}"
            write_atomically(self.folder / files["TIFF"], label_tiff(result, job.name))
        if margin is not None:
            files["margin"] = f"margin/{job.png}"
            write_atomically(self.folder / files["margin"], png_of_rgb(margin_picture(margin), signature("predict")))
            write_atomically(self.folder / "margin" / job.png.with_suffix(".npy"), _npy_bytes(margin))
        table = [{"file": job.name, **row} for row in segment_table(result)] if self.options.csv else []
        thumbnail = f"thumbnails/{job.png.with_suffix('.webp')}"
        small = _encoded(_thumbnail(image, result), "WEBP", 80, method=2)  # half of the time for 4 % more bytes
        write_atomically(self.folder / thumbnail, small)
        counts = Counter(segment.category.name for segment in result if segment.isthing)
        things = [segment for segment in result if segment.isthing]
        row = PredictedImage(
            job.name,
            (image.shape[1], image.shape[0]),
            len(things),
            len(result) - len(things),
            min((segment.score for segment in things), default=None),
            float((result.ids == 0).mean()),
            ", ".join(f"{name} × {count}" if count > 1 else name for name, count in counts.most_common()),
            thumbnail,
            files,
        )
        return ListedImage(row, table)

    def _write_videos(self) -> Iterator[str]:
        """The overlays of each video as one; yields their names."""
        for stem, (video, frames) in self._clips.items():
            name = f"overlays/{stem}.mp4"
            write_video(self.folder / name, (read_image(self.folder / each) for each in frames), video.rate)
            yield name

    def keep(self, job: ImageJob, written: "ListedImage") -> None:
        """List an image, written now or by an earlier run, on the page and in the table."""
        if job.frame is not None and "overlay" in written.row.files:
            _, frames = self._clips.setdefault(job.path.stem, (job.frame.video, []))
            frames.append(written.row.files["overlay"])
        self._rows.append(written.row)
        self._segments += written.table

    def close(self) -> Path:
        """Write the table, if it is wanted, and the page; returns the page."""
        tables = {}
        if self.options.csv:
            tables["segments.csv"] = "segments.csv"
            write_atomically(self.folder / "segments.csv", csv_of(self._segments, ["file"]).encode())
            tables["classes.csv"] = "classes.csv"
            write_atomically(self.folder / "classes.csv", class_csv(self._segments).encode())
        tables |= {Path(name).name: name for name in self._write_videos()}
        page = PredictionPage(
            title=f"{len(self._rows)} image{'s' * (len(self._rows) != 1)}, segmented",
            kicker="unipan predict",
            verb="predict",
            lead=[self.about],
            colophon=f"Written by unipan {__version__}. The page needs nothing but the files next to it.",
            images=self._rows,
            legend=[(each.name, each.color, each.isthing) for each in self.categories],
            files={"panoptic.json": "panoptic.json", **tables},
        )
        path = self.folder / "index.html"
        write_page(path, page)
        return path

    def _overlay(self, job: ImageJob, result: PanopticMap, image: Picture) -> str:
        if not self.options.labels or job.frame is not None:  # of a video all have one size
            picture = overlay(image, result, alpha=THING_ALPHA, stuff_alpha=STUFF_ALPHA)
        else:
            picture = named_overlay(image, result)
        jpeg = image.shape[0] * image.shape[1] > JPEG_FROM
        if self.options.overlay_format is not None:
            jpeg = self.options.overlay_format == "jpg"
        if jpeg:
            name = f"overlays/{job.png.with_suffix('.jpg')}"
            data = _encoded(picture, "JPEG", OVERLAY_QUALITY, comment=signature("predict"))
        else:
            name, data = f"overlays/{job.png}", png_of_rgb(picture, signature("predict"))
        write_atomically(self.folder / name, data)
        return name


def result_files(jobs: Iterable[ImageJob], options: ResultOptions) -> list[str]:
    """The names of all files that may be written."""
    jobs = list(jobs)
    pngs = [job.png for job in jobs]
    shown = not options.no_overlays
    clips = dict.fromkeys(f"overlays/{job.path.stem}.mp4" for job in jobs if job.frame is not None and shown)
    kinds = ["panoptic/*.png", *["overlays/*.png", "overlays/*.jpg"] * shown, "thumbnails/*.webp"]
    kinds += ["geojson/*.geojson"] * options.geojson + ["labels/*.tif"] * options.tiff
    kinds += ["margin/*.npy", "margin/*.png"] * options.margin
    stems = [str(png.with_suffix("")) for png in pngs]
    names = [kind.replace("*", stem) for kind in kinds for stem in stems]
    return [*names, *clips, "panoptic.json", "index.html", *["segments.csv", "classes.csv"] * options.csv]


def _thumbnail(image: Picture, result: PanopticMap) -> UInt8[np.ndarray, "tall wide 3"]:
    small = shrink(image, THUMBNAIL)
    ids = resize_ids(result.ids, (small.shape[0], small.shape[1]))
    return overlay(small, PanopticMap(ids, result.segments), segment_colors(result), THING_ALPHA, STUFF_ALPHA)


def _encoded(picture: Picture, kind: str, quality: int, **more: str | int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, quality=quality, **more)
    return file.getvalue()


def _npy_bytes(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()
