#!/usr/bin/env bash
# Pillow 13.0.0 (10.4.0 does the same) and opencv-python-headless 5.0.0.93 with numpy 2.4.6, Python 3.11.
# Guess: a PNG of grey and alpha with 16 bits, which label tools write with the class in the first channel and the
# instance in the second, is opened by Pillow as LA, as the same PNG with 8 bits is, at worst with 8 bits of each number;
# and OpenCV, which keeps 16 bits, gives two channels.
# Seen: with 8 bits Pillow says LA, with 16 bits RGBA: of four channels the first three are the upper bytes of the class,
# the fourth the upper byte of the instance; so class 4, instances 301 and 302 is one colour, (0, 0, 0, 1). OpenCV keeps
# the numbers, but gives four channels as well, the class three times. Neither says that there were two; byte 25 of the
# file does (4: grey and alpha).
# Output seen: "8 bits: LA; 16 bits: RGBA [[0, 0, 0, 1], [0, 0, 0, 1]]; OpenCV [[4, 4, 4, 301], [4, 4, 4, 302]] uint16"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
env/bin/python - <<'PY'
import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image


def grey_and_alpha(pixels, bits):
    """A PNG by the book: color type 4, every row without a filter."""
    rows = pixels.astype(">u2" if bits == 16 else np.uint8)
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], bits, 4, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    chunks = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


pixels = np.array([[[4, 301], [4, 302]]])
deep = grey_and_alpha(pixels, 16)
shallow, opened = Image.open(io.BytesIO(grey_and_alpha(pixels % 256, 8))), Image.open(io.BytesIO(deep))
read = cv2.imdecode(np.frombuffer(deep, np.uint8), cv2.IMREAD_UNCHANGED)
colors = np.asarray(opened)[0].tolist()
print(f"8 bits: {shallow.mode}; 16 bits: {opened.mode} {colors}; OpenCV {read[0].tolist()} {read.dtype}")
assert shallow.mode == "LA" and opened.mode == "RGBA" and colors == [[0, 0, 0, 1]] * 2
assert read[0].tolist() == [[4, 4, 4, 301], [4, 4, 4, 302]] and read.dtype == np.uint16
PY
