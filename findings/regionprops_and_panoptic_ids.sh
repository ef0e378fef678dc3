#!/usr/bin/env bash
# scikit-image 0.26.0 with scipy 1.17.1 and numpy 2.4.6, Python 3.11.
# Guess: what regionprops costs depends on the pixels and on the number of regions, so an image of 64 x 64 pixels with two
# regions is nothing, whatever numbers stand in it.
# Seen: it depends on the largest number. Regions are found by scipy's find_objects, which makes a list with one entry for
# every number from 1 to the largest. COCO's panoptic ids are R + 256 G + 65536 B, up to 2^24 - 1: with that id in the
# place of 2, the same two regions of the same tiny image cost hundreds of megabytes and seconds, for every image anew.
# (The figures are right. Renumbering from 1 first, as with relabel_sequential, avoids it.)
# Output seen: "ids 1 and 2: areas [784.0, 100.0], +0 MB; ids 1 and 16777215: areas [784.0, 100.0], +640 MB"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
env/bin/python - <<'PY'
import resource

import numpy as np
from skimage.measure import regionprops_table

WORDS = []


def measure(largest):
    """Areas of two regions, and by how many megabytes the peak memory has grown."""
    image = np.zeros((64, 64), np.int32)
    image[2:30, 2:30], image[40:50, 40:50] = 1, largest
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    areas = regionprops_table(image, properties=("label", "area"))["area"].tolist()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    WORDS.append(f"ids 1 and {largest}: areas {areas}, +{grown:.0f} MB")
    return areas, grown


measure(2)  # imports and caches
WORDS.clear()
small, none = measure(2)
large, grown = measure(2**24 - 1)
print("; ".join(WORDS))
assert small == large == [784.0, 100.0]
assert none < 10 and grown > 300, (none, grown)
PY
