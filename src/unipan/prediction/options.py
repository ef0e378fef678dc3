"""What `unipan predict` writes besides panoptic.json, its PNGs, overlays and index.html."""

from dataclasses import dataclass
from typing import Annotated

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
