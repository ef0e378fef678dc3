"""Label Studio's own converter, run in an environment of its own: `python label_studio_sets.py SCENE.npz OUT`."""

import json
import sys
from pathlib import Path

import numpy as np
from label_studio_sdk.converter import Converter
from PIL import Image

scene, out = np.load(sys.argv[1]), Path(sys.argv[2])
height, width = scene["photo"].shape[:2]
(out / "images").mkdir(parents=True)
Image.fromarray(scene["photo"]).save(out / "images" / "a.jpg")


def polygon(number: int, name: str, mask: np.ndarray) -> dict:
    """The rectangle around a mask as a polygon, in per cent."""
    ys, xs = np.nonzero(mask)
    x0, x1 = 100 * xs.min() / width, 100 * (xs.max() + 1) / width
    y0, y1 = 100 * ys.min() / height, 100 * (ys.max() + 1) / height
    return {
        "id": str(number), "type": "polygonlabels", "from_name": "label", "to_name": "image", "image_rotation": 0,
        "original_width": width, "original_height": height,
        "value": {"points": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], "polygonlabels": [name], "closed": True},
    }  # fmt: skip


shapes = [("road", "road"), ("car", "car1"), ("car", "car2"), ("person", "person")]
result = [polygon(number, name, scene[key]) for number, (name, key) in enumerate(shapes)]
tasks = [
    {
        "id": 1,
        "data": {"image": "/data/upload/1/a.jpg"},
        "annotations": [{"id": 1, "completed_by": 1, "result": result}],
    }
]
(out / "tasks.json").write_text(json.dumps(tasks))
config = """<View><Image name="image" value="$image"/><PolygonLabels name="label" toName="image">
<Label value="car"/><Label value="person"/><Label value="road"/></PolygonLabels></View>"""
converter = Converter(config, str(out), download_resources=False)
converter.convert_to_coco(
    str(out / "tasks.json"), str(out / "coco"), output_image_dir=str(out / "images"), is_dir=False
)
converter.convert_to_yolo(
    str(out / "tasks.json"), str(out / "yolo"), output_image_dir=str(out / "images"), is_dir=False
)
