"""Labelbox's own COCO converter, run in an environment of its own: `python labelbox_panoptic.py SCENE.npz OUT`.

Version 3.66; later ones have none. Its masks are stuff and its polygons things; ids of segments start again for each
class.
"""

import json
import sys
from pathlib import Path

import numpy as np
from labelbox.data.annotation_types import ImageData, Label, Mask, MaskData, ObjectAnnotation, Point, Polygon
from labelbox.data.annotation_types.collection import LabelList
from labelbox.data.serialization.coco import COCOConverter

scene, out = np.load(sys.argv[1]), Path(sys.argv[2])


def polygon(mask: np.ndarray) -> Polygon:
    """The rectangle of a mask, as somebody draws it."""
    ys, xs = np.nonzero(mask)
    x0, y0, x1, y1 = (int(each) for each in (xs.min(), ys.min(), xs.max(), ys.max()))
    return Polygon(points=[Point(x=x, y=y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))])


road = MaskData.from_2D_arr(scene["road"].astype(np.uint8) * 255)
annotations = [
    ObjectAnnotation(name="road", value=Mask(mask=road, color=(255, 255, 255))),
    *(ObjectAnnotation(name="car", value=polygon(scene[key])) for key in ("car1", "car2")),
    ObjectAnnotation(name="person", value=polygon(scene["person"])),
]
label = Label(data=ImageData(arr=scene["photo"]), annotations=annotations)
content = COCOConverter.serialize_panoptic(LabelList([label]), out / "images", out / "panoptic", max_workers=0)
(out / "panoptic.json").write_text(json.dumps(content, default=str))
