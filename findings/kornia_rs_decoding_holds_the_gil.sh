#!/usr/bin/env bash
# kornia-rs 0.2.0 and opencv-python-headless 4.12.0.88 (numpy 2.2.6), Python 3.11.
# Guess: a decoder written in Rust lets other threads of Python run while it works, as opencv's, Pillow's and
# imagecodecs' do; so a thread pool of PNG readers speeds up with the number of cores.
# Seen: kornia-rs decodes (and reads) a PNG without releasing the interpreter's lock. Alone it takes a quarter of
# opencv's time; on two threads it takes as long as on one, so that opencv on four cores passes it. Processes help:
# `unipan pq` forks them.
# Output seen: "while one thread decodes, another wakes: opencv often; kornia-rs not at all"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check kornia-rs==0.2.0 opencv-python-headless==4.12.0.88 numpy==2.2.6
env/bin/python - <<'PY'
import threading
import time

import cv2
import numpy as np
from kornia_rs.io import decode_image_png_u8

picture = np.arange(4000 * 4000 * 3, dtype=np.uint32).astype(np.uint8).reshape(4000, 4000, 3)
png = cv2.imencode(".png", picture)[1]
decoders = {
    "opencv": lambda: cv2.imdecode(png, cv2.IMREAD_COLOR),
    "kornia-rs": lambda: decode_image_png_u8(png.tobytes(), (4000, 4000), "rgb"),
}


def wakes(decode) -> int:
    """How often this thread wakes while another decodes."""
    ready, count = threading.Event(), 0

    def work() -> None:
        ready.set()
        decode()
        done.append(time.perf_counter())

    done: list[float] = []
    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    while not done:
        time.sleep(0.001)
        count += not done
    thread.join()
    return count


cv2.setNumThreads(1)
found = {name: max(wakes(decode) for _ in range(3)) for name, decode in decoders.items()}
words = {name: "often" if count > 10 else "not at all" if count <= 1 else f"{count} times" for name, count in found.items()}
print("while one thread decodes, another wakes: " + "; ".join(f"{name} {word}" for name, word in words.items()))
assert words == {"opencv": "often", "kornia-rs": "not at all"}, found
PY
