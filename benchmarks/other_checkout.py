"""Another checkout of unipan, in processes of its own: batches of `predict`, first results, single passes.

`runtime.py --before CHECKOUT` calls this; `git worktree add --detach CHECKOUT COMMIT` makes one. Linux alone.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unipan.datasets.scenes.generator import Scenes

DRAWN = 50
"""Different scenes of a batch; the others are copies."""
HERE = Path(__file__).resolve().parents[1]
FORMS = {
    "PyTorch": ["--runtime", "torch"],
    "onnxruntime": ["--runtime", "onnx"],
    "onnxruntime, --no-labels": ["--runtime", "onnx", "--no-labels"],
}
"""Options of this checkout's predict. At f15c49a overlays had the size of the image, and neither names nor a legend, so
that only the last form draws what that one did."""
PEAK = """
def peak_memory():
    from pathlib import Path
    rows = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(rows["VmHWM"].split()[0])
"""
"""Bytes, on Linux. wait4 would tell those of the process that began this one, if they are more; not every commit has a
function for it."""
PREDICT = f"""{PEAK}
import runpy, sys
told = sys.argv.pop(1)
try:
    runpy.run_module("unipan", run_name="__main__", alter_sys=True)
finally:
    with open(told, "w") as file:
        print(peak_memory(), file=file)
"""
PASSES = """
import sys, time
import cv2, torch
from unipan import Segmenter
torch.set_num_threads(int(sys.argv[1]))
segmenter, clock = Segmenter.load("scenes"), []
segmenter.network.register_forward_pre_hook(lambda *_: clock.append(time.process_time()))
segmenter.network.register_forward_hook(lambda *_: clock.append(time.process_time()))
for line in sys.stdin:
    image = cv2.imread(line.strip())[:, :, ::-1].copy()
    start = time.process_time()
    segmenter(image)
    print(1000 * (clock[-1] - clock[-2]), 1000 * (time.process_time() - start), flush=True)
"""
FIRST_RESULT = f"""{PEAK}
import sys
from unipan import Segmenter
Segmenter.load("scenes")(sys.argv[1])
print(peak_memory())
"""


def environment_of(checkout: Path) -> dict[str, str]:
    """So that its code is found before ours, which may be installed."""
    return os.environ | {"PYTHONPATH": str(checkout / "src")}


class PassesOf:
    """The bundled network of a checkout in a process of its own, which waits for pictures."""

    def __init__(self, checkout: Path, process: "subprocess.Popen[str]") -> None:
        self._checkout, self._process = checkout, process

    def milliseconds(self, picture: Path) -> tuple[float, float]:
        """Processor time of the network alone, and from the image to its panoptic map."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{picture}\n")
            self._process.stdin.flush()
        times = self._process.stdout.readline().split()
        if len(times) != 2:
            raise SystemExit(f"the network of {self._checkout} has ended; why, its own words above say")
        return float(times[0]), float(times[1])


@contextmanager
def passes_of(checkout: Path, threads: int) -> Iterator[PassesOf]:
    """Its process, ended with the context."""
    command = [sys.executable, "-c", PASSES, str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment_of(checkout), stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield PassesOf(checkout, process)
        finally:
            process.kill()


def batch(checkout: Path, images: Path, out: Path, options: list[str]) -> dict[str, float]:
    """One process of `unipan predict` by the code of a checkout."""
    told = out.with_suffix(".memory")
    command = [sys.executable, "-c", PREDICT, str(told), "predict", "scenes", str(images), "--out", str(out), *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment_of(checkout), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"predict of {checkout} failed")
    written = sorted(path.stat().st_mtime for path in (out / "panoptic").iterdir())
    pace = (len(written) - 1) / (written[-1] - written[0])
    return {
        "s": seconds,
        "processor s": used.ru_utime + used.ru_stime,
        "images/s": pace,
        "MB": int(told.read_text()) / 1e6,
    }


def batches(before: Path, count: int, size: tuple[int, int], rounds: int, seed: int) -> list[dict[str, Any]]:
    """Both checkouts in turn, this one in each of `FORMS`; a row of ratios for each."""
    runs = {"before": (before, [])} | {form: (HERE, options) for form, options in FORMS.items()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    title = f"{size[0]} x {size[1]}"
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        drawn = Scenes(range(seed, seed + min(count, DRAWN)), size)
        for number in range(count):
            picture = np.ascontiguousarray(drawn[number % DRAWN].image[:, :, ::-1])
            cv2.imwrite(str(images / f"scene_{number:07d}.png"), picture)
        for number in range(rounds):
            for place, (name, (checkout, options)) in enumerate(runs.items()):
                found[name].append(batch(checkout, images, Path(folder) / f"{place}-{number}", options))
                print(f"  {title}, {name}: {_told(found[name][-1])}", flush=True)
    middle = {
        name: {key: statistics.median(each[key] for each in rows) for key in rows[0]} for name, rows in found.items()
    }
    listed = []
    for form in FORMS:
        now = middle[form]
        ratios = {key: now[key] / middle["before"][key] for key in now}
        print(f"predict of {count} scenes, {title}, {form}, relative to before: {_told(ratios)}", flush=True)
        rows = {"before": found["before"], "now": found[form]}
        listed.append({"size": size, "images": count, "form": form, "ratios": ratios, **rows})
    return listed


def _told(values: dict[str, float]) -> str:
    return ", ".join(f"{key} {value:.2f}" for key, value in values.items())
