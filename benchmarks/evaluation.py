"""PQ of two folders of PNGs: our evaluator beside panopticapi's algorithm, torchmetrics, hotcoco and bare decoding.

Everything runs in this one process on the same files, interleaved, so that a busy machine slows all of them; ratios of
medians are what counts. Maps are drawn: 60 segments in 133 classes, smooth, or noisy with a fifth of the pixels strewn.

    python benchmarks/evaluation.py [--images 16] [--repeats 5] [--json FILE]
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders
from unipan.panoptic.png import decode_png

CATEGORIES = [{"id": n, "name": f"class {n}", "isthing": int(n <= 80), "color": [n, n, n]} for n in range(1, 134)]
KINDS = {"640x480 smooth": (480, 640, False), "640x480 noisy": (480, 640, True)}
KINDS |= {"2048x1024 smooth": (1024, 2048, False), "2048x1024 noisy": (1024, 2048, True)}
SIDES = ("truth", "prediction")


def draw(folder: Path, images: int, height: int, width: int, noisy: bool) -> None:
    """Write truth.json, prediction.json and their folders."""
    rng = np.random.default_rng(0)
    annotations: dict[str, list[dict]] = {side: [] for side in SIDES}
    for number in range(images):
        seeds = np.ones((height, width), np.uint8)
        seeds[rng.integers(0, height, 60), rng.integers(0, width, 60)] = 0
        cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
        count = int(cells.max())
        ids = np.concatenate([[0], rng.choice(2**24 - 1, count, replace=False) + 1])
        classes = rng.integers(1, 134, count + 1)
        for side, rows in annotations.items():
            labels = np.where(cells == 3, 0, cells) if side == "truth" else np.roll(cells, (5, 9), (0, 1))
            if noisy:
                strewn = rng.random((height, width)) < 0.2
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
        listed = [{"id": n, "file_name": f"{n}.jpg", "height": height, "width": width} for n in range(images)]
        content = {"images": listed, "annotations": rows, "categories": CATEGORIES}
        (folder / f"{side}.json").write_text(json.dumps(content))


def ours(folder: Path) -> float:
    found = score_folders(PanopticFolders(folder / "truth.json", folder / "prediction.json"))
    return found.quality.to_json()["strict"]["All"]["pq"]


def decoding(decode: Callable[[str], object]) -> Callable[[Path], None]:
    """Nothing but reading the PNGs, with as many threads as ours has."""

    def run(folder: Path) -> None:
        names = [str(path) for path in folder.glob("*/*.png")]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for _ in pool.map(lambda name: decode(name) is None, names):
                pass

    return run


def by_opencv(name: str) -> object:
    return cv2.imdecode(np.fromfile(name, np.uint8), cv2.IMREAD_UNCHANGED)


def by_torchvision(name: str) -> object:
    from torchvision.io import decode_image, read_file

    return decode_image(read_file(name))


def hotcoco(folder: Path) -> float:
    from hotcoco.panoptic import PanopticEval

    run = PanopticEval(str(folder / "truth.json"), str(folder / "prediction.json"))
    run.evaluate()
    return run.results()["All"]["pq"]


def plain(folder: Path) -> float:
    """The official algorithm as it is published: np.unique over 64-bit pairs of pixels, loops over segments.

    panopticapi itself is in no registry; it spreads images over processes, this does one after the other.
    """
    files = {side: json.loads((folder / f"{side}.json").read_text()) for side in SIDES}
    things = {category["id"]: category["isthing"] for category in files["truth"]["categories"]}
    sums = {category: np.zeros(4) for category in things}
    predictions = {each["image_id"]: each for each in files["prediction"]["annotations"]}
    for truth in files["truth"]["annotations"]:
        prediction = predictions[truth["image_id"]]
        pair = {"truth": truth, "prediction": prediction}
        maps = [decode_png(folder / side / each["file_name"]).astype(np.uint64) for side, each in pair.items()]
        _count_plainly(*({s["id"]: s for s in each["segments_info"]} for each in pair.values()), *maps, sums)
    means = {}
    for kind in (None, 1, 0):
        present = [each for key, each in sums.items() if kind in (None, things[key]) and each[1:].any()]
        means[kind] = sum(iou / (tp + fp / 2 + fn / 2) for iou, tp, fp, fn in present) / len(present)
    return means[None]


def _count_plainly(
    truth: dict[int, dict], prediction: dict[int, dict], gt: np.ndarray, pred: np.ndarray, sums: dict[int, np.ndarray]
) -> None:
    """IoU, TP, FP, FN of one image by the published rules; a KeyError where JSON and PNG disagree."""
    labels, counts = np.unique(pred, return_counts=True)
    area = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    odd = (area.keys() - {0}) ^ prediction.keys()
    if odd:
        raise KeyError(min(odd))
    labels, counts = np.unique(gt * np.uint64(256**3) + pred, return_counts=True)
    shared = {divmod(key, 256**3): n for key, n in zip(labels.tolist(), counts.tolist(), strict=True)}
    crowds = {row["category_id"]: t for t, row in truth.items() if row["iscrowd"]}
    hit: tuple[set[int], set[int]] = (set(), set())
    for (t, p), pixels in shared.items():
        if t not in truth or p not in prediction or truth[t]["iscrowd"]:
            continue
        if truth[t]["category_id"] == prediction[p]["category_id"]:
            iou = pixels / (truth[t]["area"] + area[p] - pixels - shared.get((0, p), 0))
            if iou > 0.5:
                sums[truth[t]["category_id"]] += (iou, 1, 0, 0)
                hit[0].add(t)
                hit[1].add(p)
    for t in truth.keys() - hit[0]:
        sums[truth[t]["category_id"]] += (0, 0, 0, not truth[t]["iscrowd"])
    for p in prediction.keys() - hit[1]:
        category = prediction[p]["category_id"]
        ignored = shared.get((0, p), 0) + shared.get((crowds.get(category, -1), p), 0)
        sums[category] += (0, 0, ignored / area[p] <= 0.5, 0)


def torchmetrics(folder: Path) -> float:
    """It knows no files: the maps are decoded and spread to (class, instance) first; void has no place in it."""
    import torch
    from torchmetrics.detection import PanopticQuality

    sets = [{c["id"] for c in CATEGORIES if c["isthing"] == flag} for flag in (1, 0)]
    metric = PanopticQuality(*sets, allow_unknown_preds_category=True)
    sides = {side: json.loads((folder / f"{side}.json").read_text())["annotations"] for side in SIDES}
    for truth, prediction in zip(*sides.values(), strict=True):
        pair = []
        for side, each in zip(SIDES, (truth, prediction), strict=True):
            ids = decode_png(folder / side / each["file_name"])
            known, inverse = np.unique(ids, return_inverse=True)
            classes = {s["id"]: s["category_id"] for s in each["segments_info"]}
            labels = np.array([classes.get(int(key), 0) for key in known])[inverse.reshape(ids.shape)]
            pair.append(torch.from_numpy(np.stack([labels, ids], -1))[None])
        metric.update(pair[1], pair[0])
    return float(metric.compute())


def candidates(slow: bool) -> dict[str, Callable[[Path], object]]:
    """What is installed; `slow` takes in what needs seconds an image."""
    found: dict[str, tuple[str, Callable[[Path], object]]] = {
        "unipan": ("unipan", ours),
        "decoding, opencv": ("cv2", decoding(by_opencv)),
        "decoding, torchvision": ("torchvision", decoding(by_torchvision)),
        "hotcoco": ("hotcoco", hotcoco),
    }
    if slow:
        found |= {"panopticapi's algorithm, one core": ("numpy", plain), "torchmetrics": ("torchmetrics", torchmetrics)}
    return {label: run for label, (module, run) in found.items() if find_spec(module) is not None}


def measure(images: int, repeats: int, kinds: list[str], slow: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Median seconds (wall and processor) per image and candidate, for each kind of maps."""
    report = {}
    for kind in kinds:
        height, width, noisy = KINDS[kind]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            draw(folder, images if width < 1000 else max(2, images // 4), height, width, noisy)
            count = len(list(folder.glob("truth/*.png")))
            times: dict[str, list[tuple[float, float]]] = {}
            figures = {}
            for _ in range(repeats):
                for label, run in candidates(slow).items():
                    start = time.perf_counter(), time.process_time()
                    figures[label] = run(folder)
                    took = time.perf_counter() - start[0], time.process_time() - start[1]
                    times.setdefault(label, []).append(took)
            exact = [
                figures[label]
                for label in ("unipan", "hotcoco", "panopticapi's algorithm, one core")
                if label in figures
            ]
            if max(exact) - min(exact) > 1e-9:
                raise SystemExit(f"{kind}: the figures differ: {figures}")
            report[kind] = {
                label: dict(
                    zip(
                        ("wall", "cpu"),
                        (statistics.median(each) / count for each in zip(*rows, strict=True)),
                        strict=True,
                    )
                )
                for label, rows in times.items()
            }
    return report


def ratios(times: dict[str, dict[str, float]]) -> dict[str, float]:
    """Processor time of ours by each other's, and by the faster decoding."""
    mine = times["unipan"]["cpu"]
    found = {label: mine / each["cpu"] for label, each in times.items() if label != "unipan"}
    found["decoding"] = max(ratio for label, ratio in found.items() if label.startswith("decoding"))
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16, help="of 640x480; a quarter of it of 2048x1024")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--fast", action="store_true", help="leave out what takes seconds an image")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    for module in ("torchvision", "hotcoco", "torchmetrics"):
        if find_spec(module) is None:
            print(f"{module} is not installed: not compared")
    report = measure(args.images, args.repeats, args.kinds, not args.fast)
    for kind, times in report.items():
        print(f"\n{kind}: ms per image, wall (processor), and unipan's time by the other's")
        by = ratios(times)
        for label, each in times.items():
            wall = f"{times['unipan']['wall'] / each['wall']:.2f}"
            note = "" if label == "unipan" else f"   {wall} wall, {by[label]:.2f} processor"
            print(f"  {label:36}{1000 * each['wall']:8.1f} ({1000 * each['cpu']:.1f}){note}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
