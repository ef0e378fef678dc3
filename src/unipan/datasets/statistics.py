"""How many things a dataset has, and their sizes at the network's resolution; anchors and limits are fitted to them."""

from dataclasses import dataclass

import numpy as np

from unipan.config import DataConfig
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sizes import scaled_size

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)


@dataclass(frozen=True)
class ThingStatistics:
    """Statistics over a sample of the images of a dataset.

    Attributes:
        images: number of images in the sample.
        per_image: things per image: mean, 99th percentile and maximum.
        side: percentiles (1 10 25 50 75 90 99) of sqrt(width * height) of the boxes, in pixels of the network's input.
        aspect: 10th, 50th and 90th percentile of height / width.
        cells: 10th and 50th percentile of the visible area of a thing, in cells of P's grid.
        size: median height and width of the network's input.
        stride: pixels of the network's input per cell.
        crowds: their number.
        cover: share of the pixels that are a thing's.
    """

    images: int
    per_image: tuple[float, float, int]
    side: tuple[float, ...]
    aspect: tuple[float, float, float]
    cells: tuple[float, float]
    size: tuple[int, int]
    stride: int
    crowds: int = 0
    cover: float = 1.0

    def __str__(self) -> str:
        mean, most, maximum = self.per_image
        return (
            f"{self.images} images seen at {self.size[0]} x {self.size[1]}: {mean:.1f} things an image "
            f"(99th percentile {most:.0f}, most {maximum}); box side 1/50/99 %: {self.side[0]:.0f} / {self.side[3]:.0f}"
            f" / {self.side[6]:.0f} px; height:width 10/50/90 %: {self.aspect[0]:.2f} / {self.aspect[1]:.2f} / "
            f"{self.aspect[2]:.2f}; things cover {self.cells[1]:.0f} cells of the 1/{self.stride} grid (median; "
            f"10 % under {self.cells[0]:.0f})" + self._nothing()
        )

    def _nothing(self) -> str:
        """A warning if there is no thing."""
        if self.per_image[2]:
            return ""
        why = f"all {self.crowds} segments of thing classes are crowds" if self.crowds else "none is labelled"
        return f"; warning: no thing is in any of these images, {why}, so the network will not learn to find any"


def thing_statistics(data: PanopticData, config: DataConfig, stride: int, images: int = 300) -> ThingStatistics:
    """Compute the statistics over up to `images` evenly spaced images of a dataset; crowds are left out.

    Args:
        data: the dataset.
        config: how its images are resized.
        stride: pixels of the network's input per cell of P.
        images: largest number of images in the sample.

    Raises:
        ValueError: the dataset is empty.
    """
    if not len(data):
        raise ValueError("statistics: the dataset has no images; give a folder whose panoptic.json lists some")
    counts, sides, aspects, cells, sizes = [], [], [], [], []
    crowds = covered = pixels = 0
    for index in np.linspace(0, len(data) - 1, min(images, len(data))).astype(int):
        truth = data[int(index)].truth
        height, width = scaled_size(truth.ids.shape[0], truth.ids.shape[1], config)
        factor = height / truth.ids.shape[0]
        things = [segment for segment in truth if segment.isthing and not segment.iscrowd]
        counts.append(len(things))
        covered += sum(segment.area for segment in things)
        pixels += truth.ids.size
        crowds += sum(segment.iscrowd for segment in truth)
        sizes.append((height, width))
        sides += [factor * np.sqrt(s.bbox[2] * s.bbox[3]) for s in things]
        aspects += [s.bbox[3] / s.bbox[2] for s in things]
        cells += [(factor / stride) ** 2 * s.area for s in things]
    nothing = not sides
    return ThingStatistics(
        images=len(counts),
        per_image=(float(np.mean(counts)), float(np.percentile(counts, 99)), max(counts)),
        side=tuple(float(v) for v in np.percentile(sides or [0.0], PERCENTILES)),
        aspect=tuple(float(v) for v in np.percentile([1.0] if nothing else aspects, (10, 50, 90))),  # type: ignore[arg-type]
        cells=tuple(float(v) for v in np.percentile(cells or [0.0], (10, 50))),  # type: ignore[arg-type]
        size=(int(np.median([h for h, _ in sizes])), int(np.median([w for _, w in sizes]))),
        stride=stride,
        crowds=crowds,
        cover=covered / pixels,
    )
