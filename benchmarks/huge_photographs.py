"""Memory and time of `unipan predict` on photographs far larger than what the network sees.

Each picture is segmented by a process of its own, with the bundled weights and a shorter side of 256 pixels, as a
network has that was trained on photographs (`scenes` itself takes pictures at their own size). Memory is the greatest
that the process had; beyond a small picture's it is that of the picture, its map and its overlay.

    OMP_NUM_THREADS=1 python benchmarks/huge_photographs.py [--sides 9000 12000] [--options=--no-overlays ...]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from unipan.checkpoint import load_checkpoint, save_checkpoint

SMALL = 500
CODE = """
import sys
from unipan.cli import main
from unipan.processes import peak_memory
status = main(sys.argv[1:])
print(f"{status} {peak_memory()}")
"""


def picture(folder: Path, side: int, kind: str) -> Path:
    """A square photograph of red oblongs on green."""
    tile = np.zeros((500, 500, 3), np.uint8)
    tile[..., 1] = 120
    tile[100:200, 100:300] = (200, 40, 40)
    many = -(-side // 500)
    path = folder / f"{side}.{kind}"
    more = {"quality": 60} if kind == "jpg" else {"compress_level": 1}
    Image.fromarray(np.tile(tile, (many, many, 1))[:side, :side]).save(path, **more)
    return path


def checkpoint_for_photographs(folder: Path) -> Path:
    """The bundled weights with a shorter side of 256 pixels."""
    found = load_checkpoint("scenes", "cpu")
    config = replace(found.config, data=replace(found.config.data, short_side=256, max_side=512))
    path = folder / "net.safetensors"
    save_checkpoint(path, found.network.state_dict(), config, found.categories, {})
    return path


def measured(*words: object) -> tuple[int, float]:
    """The greatest memory of a process that predicts, in bytes, and its seconds."""
    start = time.monotonic()
    command = [sys.executable, "-c", CODE, "predict", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, peak = done.stdout.splitlines()[-1].split()
    if status != "0":
        raise SystemExit(done.stderr)
    return int(peak), time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[9000, 12000])
    parser.add_argument("--options", nargs="*", default=[], help="for `unipan predict`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = checkpoint_for_photographs(folder)
        for kind in ("jpg", "png"):
            least = 0
            for side in (SMALL, *given.sides):
                out = folder / f"{side}{kind}"
                peak, seconds = measured(checkpoint, picture(folder, side, kind), "--out", out, *given.options)
                least = least or peak
                a_pixel = "" if side == SMALL else f", {(peak - least) / side**2:.1f} bytes a pixel beyond {SMALL}"
                print(f"{side} x {side} {kind}: {peak / 2**20:.0f} MiB, {seconds:.1f} s{a_pixel}", flush=True)


if __name__ == "__main__":
    main()
