"""Whole processes of `unipan pq` beside hotcoco, as a user would time them, with their memory.

Every candidate runs in a process of its own on the same files, one after the other in turn, so that a busy machine
slows all of them; ratios of medians are what counts. The first round is not counted: in it Python writes its bytecode.
Maps are drawn: 640 x 480, 60 segments in 133 classes. With more than 100 pairs, files repeat (hard links), so 5,000
pairs take few megabytes. Two figures of memory: the most that one process held, and (Linux) that of the process with
all its children at one time, pages that they share counted once. At the end stand our aims, and which are met.

    python benchmarks/evaluation.py [--pairs 20 400 5000] [--repeats 5] [--old CHECKOUT] [--install] [--json FILE]
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aims import Aim, print_aims

CATEGORIES = [{"id": n, "name": f"class {n}", "isthing": int(n <= 80), "color": [n, n, n]} for n in range(1, 134)]
SIDES = ("truth", "prediction")
DRAWN = 100
HEIGHT, WIDTH, SEEDS = 480, 640, 60
ROOT = Path(__file__).resolve().parents[1]

AIMS_BESIDE_HOTCOCO = {"20 pairs": 2.0, "400 pairs": 1.3, "5000 pairs": 1.0}
"""Wall time of `unipan pq`, relative to hotcoco's."""
HTML_AIM, MEMORY_AIM, HELP_AIM, INSTALL_AIM = 1.5, 120, 0.5, 0.1
"""`--html` relative to plain `pq`, MB of one process, `--help` relative to an older version's, the base install to one
with torch."""

HOTCOCO = "import sys; from hotcoco.panoptic import PanopticEval; e = PanopticEval(*sys.argv[1:]); e.run()"


def draw(folder: Path, pairs: int, noisy: bool = False) -> None:
    """Write truth.json, prediction.json and their folders of PNGs."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    annotations: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for number in range(min(pairs, DRAWN)):
        seeds = np.ones((HEIGHT, WIDTH), np.uint8)
        seeds[rng.integers(0, HEIGHT, SEEDS), rng.integers(0, WIDTH, SEEDS)] = 0
        cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
        count = int(cells.max())
        ids = np.concatenate([[0], rng.choice(2**24 - 1, count, replace=False) + 1])
        classes = rng.integers(1, 134, count + 1)
        for side, rows in annotations.items():
            labels = np.where(cells == 3, 0, cells) if side == "truth" else np.roll(cells, (5, 9), (0, 1))
            if noisy:  # a fifth of the pixels strewn
                strewn = rng.random((HEIGHT, WIDTH)) < 0.2
                labels[strewn] = rng.integers(1, count + 1, int(strewn.sum()))
            pixels = np.bincount(labels.ravel(), minlength=count + 1)
            colours = (ids[labels][..., None] >> np.array([16, 8, 0])) & 255  # blue, green, red
            (folder / side).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / side / f"{number}.png"), colours.astype(np.uint8))
            segments = [
                {"id": int(ids[n]), "category_id": int(classes[n]), "area": int(pixels[n]), "iscrowd": 0}
                for n in range(1, count + 1)
                if pixels[n]
            ]
            rows.append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
    for side, rows in annotations.items():
        for number in range(DRAWN, pairs):
            os.link(folder / side / f"{number % DRAWN}.png", folder / side / f"{number}.png")
            rows.append({**rows[number % DRAWN], "image_id": number, "file_name": f"{number}.png"})
        listed = [{"id": n, "file_name": f"{n}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(pairs)]
        content = {"images": listed, "annotations": rows, "categories": CATEGORIES}
        (folder / f"{side}.json").write_text(json.dumps(content))


def run(command: list[str], source: Path, watched: bool = False) -> dict[str, float]:
    """Wall and processor seconds of one process, and the most memory it had, in MB; that of its family if watched."""
    environment = {**os.environ, "PYTHONPATH": str(source / "src"), "PYTHONPYCACHEPREFIX": tempfile.gettempdir()}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    family = 0.0
    while watched and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        family = max(family, megabytes(process.pid))
        time.sleep(0.01)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    wall = time.perf_counter() - start
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "MB": used.ru_maxrss / 1024, "family MB": family}


def megabytes(pid: int) -> float:
    """Resident memory of a process and its children, where each page counts by its share (Linux)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
    return own + sum(megabytes(int(child)) for child in children)


def interleaved(candidates: dict[str, tuple[list[str], Path]], repeats: int) -> dict[str, dict[str, float]]:
    """Medians of each candidate over rounds in which each runs once; memory is watched in the first, uncounted one."""
    watched = {label: run(command, source, True) for label, (command, source) in candidates.items()}
    found: dict[str, list[dict[str, float]]] = {label: [] for label in candidates}
    for _ in range(repeats):
        for label, (command, source) in candidates.items():
            found[label].append(run(command, source))
    return {
        label: {key: statistics.median(each[key] for each in rows) for key in rows[0]}
        | {"family MB": watched[label]["family MB"]}
        for label, rows in found.items()
    }


def commands(folder: Path, pairs: int, old: Path | None) -> dict[str, tuple[list[str], Path]]:
    """What is compared on the files of a folder; the first is what the others' figures are divided into."""
    files = [str(folder / f"{side}.json") for side in SIDES]
    python = sys.executable
    found = {"unipan pq": ([python, "-m", "unipan", "pq", *files], ROOT)}
    if pairs <= 1000:
        found["unipan pq --html"] = ([python, "-m", "unipan", "pq", *files, "--html", str(folder / "page")], ROOT)
    if find_spec("hotcoco"):
        found["hotcoco"] = ([python, "-c", HOTCOCO, *files], ROOT)
    if old is not None:
        found["unipan pq, old"] = ([python, "-m", "unipan", "pq", *files], old)
    return found


def table(title: str, found: dict[str, dict[str, float]]) -> None:
    """Medians, and the first one's wall and processor time by each."""
    first = next(iter(found.values()))
    print(f"\n{title}: seconds wall (processor), MB (with children), and the first one's time divided by this one's")
    for label, each in found.items():
        wall, cpu = first["wall"] / each["wall"], first["cpu"] / each["cpu"]
        memory = f"{each['MB']:8.0f} ({each['family MB']:.0f}) MB"
        print(f"  {label:24}{each['wall']:8.2f} ({each['cpu']:.2f}){memory}   {wall:5.2f} ({cpu:.2f})")


def help_texts(old: Path | None, repeats: int) -> dict[str, dict[str, float]]:
    """The time that `--help` takes."""
    found = {}
    for options in (["--help"], ["pq", "--help"]):
        for label, source in (("", ROOT), *([(", old", old)] if old else [])):
            found[f"unipan {' '.join(options)}{label}"] = ([sys.executable, "-m", "unipan", *options], source)
    return interleaved(found, repeats)


def installed() -> dict[str, float]:
    """MB of site-packages of a fresh environment with each extra."""
    found = {}
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    for extra in ("", "[torch]", "[train]", "[all]"):
        with tempfile.TemporaryDirectory() as name:
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, name], check=True)
            install = [uv, "pip", "install", "--quiet", "--link-mode", "copy", "--python", f"{name}/bin/python"]
            subprocess.run([*install, "--constraint", str(ROOT / "constraints.txt"), f"{ROOT}{extra}"], check=True)
            files = Path(name, "lib").rglob("*")
            found[f"unipan{extra}"] = sum(path.lstat().st_size for path in files if path.is_file()) / 1e6
            print(f"  unipan{extra}: {found[f'unipan{extra}']:.0f} MB installed")
    return found


def aims(report: dict[str, dict[str, Any]]) -> list[Aim]:
    """What was measured beside what we aim at."""
    found = []
    for pairs, aim in AIMS_BESIDE_HOTCOCO.items():
        if "hotcoco" in report.get(pairs, {}):
            ratio = report[pairs]["unipan pq"]["wall"] / report[pairs]["hotcoco"]["wall"]
            found.append((f"pq of {pairs}, wall time relative to hotcoco", ratio, aim))
    of_pairs = [rows for name, rows in report.items() if name.endswith(" pairs")]
    html = [rows for rows in of_pairs if "unipan pq --html" in rows]
    if html:
        ratio = html[-1]["unipan pq --html"]["wall"] / html[-1]["unipan pq"]["wall"]
        found.append(("pq --html, wall time relative to plain pq", ratio, HTML_AIM))
    if of_pairs:
        found.append(("pq, MB of the largest process", max(rows["unipan pq"]["MB"] for rows in of_pairs), MEMORY_AIM))
    for options in ("--help", "pq --help"):
        now, old = (report["help"].get(f"unipan {options}{label}") for label in ("", ", old"))
        if now and old:
            found.append((f"{options}, wall time relative to the older version", now["wall"] / old["wall"], HELP_AIM))
    if sizes := report.get("installed"):
        found.append(("base install, MB relative to [torch]", sizes["unipan"] / sizes["unipan[torch]"], INSTALL_AIM))
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="*", default=[20, 400, 5000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--noisy", action="store_true", help="a fifth of the pixels strewn")
    parser.add_argument("--old", type=Path, help="another checkout of unipan to compare with")
    parser.add_argument("--install", action="store_true", help="also the size of fresh installations, which downloads")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {}
    for pairs in args.pairs:
        with tempfile.TemporaryDirectory() as name:
            # In a process of its own: a child's peak memory counts what its parent held when it was started.
            drawing = multiprocessing.get_context("spawn").Process(target=draw, args=(Path(name), pairs, args.noisy))
            drawing.start()
            drawing.join()
            report[f"{pairs} pairs"] = interleaved(commands(Path(name), pairs, args.old), args.repeats)
            table(f"{pairs} pairs", report[f"{pairs} pairs"])
    report["help"] = help_texts(args.old, args.repeats)
    table("help", report["help"])
    if args.install:
        report["installed"] = installed()
    print_aims(aims(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
