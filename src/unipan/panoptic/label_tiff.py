"""Panoptic maps as label pictures for Fiji, napari and QuPath: a TIFF whose pixels are the ids of the segments.

Void is 0, as all three take the background. Which class an id has is in the picture's description, as JSON.
"""

import json
from io import BytesIO

import numpy as np

from unipan.panoptic.maps import PanopticMap

_DESCRIPTION, _SOFTWARE = 270, 305
"""Tags of TIFF 6.0."""


def label_tiff(panoptic: PanopticMap, name: str = "image") -> bytes:
    """A TIFF of one channel, compressed without loss: 16 bits, or 32 where an id is above 65535.

    ImageJ opens 16 bits as they are, and turns 32-bit integers into floating point numbers.

    Args:
        panoptic: the map.
        name: of the image, for the description.

    Raises:
        ModuleNotFoundError: an id is above 65535, and tifffile (of the extra `measure`) is missing.
    """
    classes = {str(each.id): each.category.name for each in panoptic}
    # Only ASCII may stand in a TIFF's description.
    text = json.dumps({"image": name, "void": 0, "classes": classes}, ensure_ascii=True)
    file = BytesIO()
    if panoptic.ids.max(initial=0) <= np.iinfo(np.uint16).max:
        from PIL import Image

        tags = {_DESCRIPTION: text, _SOFTWARE: "unipan"}
        Image.fromarray(panoptic.ids.astype(np.uint16)).save(
            file, "TIFF", compression="tiff_adobe_deflate", tiffinfo=tags
        )
    else:
        import tifffile

        tifffile.imwrite(
            file,
            panoptic.ids.astype(np.uint32),
            compression="zlib",
            photometric="minisblack",
            description=text,
            software="unipan",
            metadata=None,
        )
    return file.getvalue()
