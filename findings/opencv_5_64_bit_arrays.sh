#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 with numpy 2.4.6, Python 3.11.
# Guess: OpenCV 5 has 64-bit integers (CV_64S, CV_64U), so a numpy array of int64, numpy's own default, goes through its
# functions as it is; and where a function does not take it, it raises, as for many types before.
# Seen: the Python binding still turns every int64 and uint64 array into int32, without a word, and wraps what does not fit.
# Ids of instances that differ by 2^32 (class * 2^32 + instance, hashes, ids of a database) are equal afterwards: flip,
# resize, copyMakeBorder and compare see one object where there are two, countNonZero finds no difference, and what comes
# back is int32.
# Output seen: "CV_64S is there; ids [5, 4294967301] after flip: int32 [5]; after resize: int32 [5]; after copyMakeBorder:
# int32 [5]; equal pixels by compare: 32 of 32"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import numpy as np

ids = np.full((4, 8), 5, np.int64)
ids[:, 4:] += 2**32
moved = {
    "flip": cv2.flip(ids, 0),
    "resize": cv2.resize(ids, (16, 8), interpolation=cv2.INTER_NEAREST),
    "copyMakeBorder": cv2.copyMakeBorder(ids, 1, 1, 1, 1, cv2.BORDER_REPLICATE),
}
equal = int((cv2.compare(ids, np.full_like(ids, 5), cv2.CMP_EQ) > 0).sum())
assert hasattr(cv2, "CV_64S")
words = "; ".join(f"after {name}: {found.dtype} {np.unique(found).tolist()}" for name, found in moved.items())
print(f"CV_64S is there; ids {np.unique(ids).tolist()} {words}; equal pixels by compare: {equal} of {ids.size}")
assert all(found.dtype == np.int32 and np.unique(found).tolist() == [5] for found in moved.values())
assert equal == ids.size
PY
