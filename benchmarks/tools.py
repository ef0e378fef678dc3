"""What PQ tools say of data with one fault each: the table of docs/evaluation.md, "Where tools differ".

Twelve drawn scenes; the prediction is the truth, moved by three pixels. Each case breaks one thing in the files.

    python benchmarks/tools.py --panopticapi PYTHON

PYTHON is that of an environment with panopticapi-lite, which needs numpy below 2; without it the published algorithm,
written again below, stands in its place.
"""

import argparse
import copy
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders
from unipan.panoptic.maps import panoptic_map
from unipan.panoptic.png import decode_png

SIDES = ("truth", "prediction")
SEEDS = range(2_000_000, 2_000_012)
Content = dict[str, Any]
Files = dict[str, Content]


def write(folder: Path) -> Files:
    """truth.json and prediction.json with their folders; the JSONs' contents."""
    for side, shift in (("truth", 0), ("prediction", 3)):
        writer = PanopticWriter(folder / f"{side}-set", SCENE_CATEGORIES)
        for sample in (Scenes(SEEDS)[index] for index in range(len(SEEDS))):
            ids = np.roll(sample.truth.ids, shift, axis=1)
            moved = panoptic_map(ids, {segment.id: segment.category for segment in sample.truth})
            writer.add(sample.name, sample.image_id, moved)
        writer.close()
        (folder / f"{side}-set" / "panoptic").rename(folder / side)
    return {
        side: json.loads((folder / f"{side}-set" / "panoptic.json").read_text()) for side in ("truth", "prediction")
    }


def segments(files: Files, side: str) -> list[list[Content]]:
    return [each["segments_info"] for each in files[side]["annotations"]]


def stale_area(files: Files) -> None:
    for rows in segments(files, "truth"):
        for row in rows:
            row["area"] = 1


def crowds(files: Files, each: int) -> None:
    """The first things of every image's commonest thing class become crowds, `each` of them."""
    for rows in segments(files, "truth"):
        things = [
            row for row in rows if SCENE_CATEGORIES.index_of_id[row["category_id"]] < len(SCENE_CATEGORIES.things)
        ]
        classes = [row["category_id"] for row in things]
        common = max(set(classes), key=classes.count) if classes else None
        for row in [row for row in things if row["category_id"] == common][:each]:
            row["iscrowd"] = 1


def undeclared(files: Files) -> None:
    segments(files, "prediction")[0].pop()


def absent(files: Files) -> None:
    row = dict(segments(files, "prediction")[0][0], id=987_654)
    segments(files, "prediction")[0].append(row)


def missing(files: Files) -> None:
    files["prediction"]["annotations"].pop()


def things_only(files: Files) -> None:
    """Stuff is taken off the lists; its pixels stay in the PNGs, undeclared."""
    keep = {category.id for category in SCENE_CATEGORIES.things}
    for content in files.values():
        content["categories"] = [category for category in content["categories"] if category["id"] in keep]
        for each in content["annotations"]:
            each["segments_info"] = [row for row in each["segments_info"] if row["category_id"] in keep]


CASES: dict[str, Callable[[Files], None]] = {
    "sound files": lambda _: None,
    "every `area` of the truth is stale (1)": stale_area,
    "one crowd": lambda files: crowds(files, 1),
    "two crowds of a class": lambda files: crowds(files, 2),
    "a predicted id is not in the JSON": undeclared,
    "a declared id has no pixel": absent,
    "one prediction is missing": missing,
    "no stuff classes, their pixels undeclared": things_only,
}


def ours(folder: Path, kind: str, lenient: bool) -> float | str:
    found = score_folders(PanopticFolders(folder / "truth.json", folder / "prediction.json"), lenient)
    wrong = [problem for problem in found.problems if not (lenient and problem.pardonable)]
    if wrong:
        return "refuses, by file and id"
    scores = found.quality.to_json()[kind]
    return "null" if scores is None else scores["All"]["pq"]


def hotcoco(folder: Path) -> float:
    from hotcoco.panoptic import PanopticEval

    run = PanopticEval(str(folder / "truth.json"), str(folder / "prediction.json"))
    run.evaluate()
    return run.results()["All"]["pq"]


def plain(folder: Path) -> float:
    """The official algorithm as it is published: np.unique over 64-bit pairs of pixels, loops over segments.

    panopticapi spreads images over processes, this does one after the other.
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


def vernier(folder: Path, mode: str) -> float:
    """It is given decoded maps, and the rows of the JSONs."""
    from vernier.panoptic import Dataset, Evaluator, Predictions

    sides = []
    for side in SIDES:
        annotations = json.loads((folder / f"{side}.json").read_text())["annotations"]
        pixels = {a["image_id"]: decode_png(folder / side / a["file_name"]).astype(np.uint32) for a in annotations}
        sides.append((pixels, json.dumps({a["image_id"]: a["segments_info"] for a in annotations}).encode()))
    categories = json.dumps(json.loads((folder / "truth.json").read_text())["categories"]).encode()
    truth = Dataset.from_arrays(*sides[0], categories)
    return float(Evaluator(parity_mode=mode).evaluate(truth, Predictions.from_arrays(*sides[1])).pq)


def panopticapi(folder: Path, python: Path) -> float | str:
    """The official code in its own environment; the name of its exception where it raises one."""
    code = (
        "import sys; from panopticapi.evaluation import pq_compute\n"
        "if __name__ == '__main__': print('PQ', pq_compute(sys.argv[1], sys.argv[2])['All']['pq'])\n"
    )
    script = folder / "panopticapi_of_tools.py"
    script.write_text(code)
    files = [str(folder / f"{side}.json") for side in SIDES]
    done = subprocess.run([str(python), str(script), *files], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return float(done.stdout.split("PQ ")[-1])
    return (done.stderr.strip().splitlines() or ["it ended"])[-1].split(":")[0]


def torchmetrics(folder: Path) -> float:
    """It knows no files: the maps are decoded and spread to (class, instance) first; void has no place in it."""
    import torch
    from torchmetrics.detection import PanopticQuality

    categories = json.loads((folder / "truth.json").read_text())["categories"]
    sets = [{c["id"] for c in categories if c["isthing"] == flag} for flag in (1, 0)]
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


TOOLS: dict[str, Callable[[Path], float | str]] = {
    "unipan": lambda folder: ours(folder, "strict", False),
    "unipan --lenient": lambda folder: ours(folder, "strict", True),
    "unipan, official": lambda folder: ours(folder, "official", True),
    "panopticapi's algorithm": plain,
    "hotcoco": hotcoco,
    "vernier": lambda folder: vernier(folder, "corrected"),
    "vernier, strict": lambda folder: vernier(folder, "strict"),
    "torchmetrics": torchmetrics,
}


def say(tool: Callable[[Path], float | str], folder: Path) -> str:
    """What a tool answers, in percent, or how it ends."""
    try:
        found = tool(folder)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}"
    return found if isinstance(found, str) else f"{100 * found:.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panopticapi", type=Path, metavar="PYTHON")
    asked = parser.parse_args()
    tools = dict(TOOLS)
    if asked.panopticapi is not None:
        tools["panopticapi's algorithm"] = lambda folder: panopticapi(folder, asked.panopticapi)
    print(f"| fault | {' | '.join(tools)} |\n|---{'|---' * len(tools)}|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = write(folder)
        for case, breakage in CASES.items():
            files = copy.deepcopy(sound)
            breakage(files)
            for side, content in files.items():
                (folder / f"{side}.json").write_text(json.dumps(content))
            print(f"| {case} | {' | '.join(say(tool, folder) for tool in tools.values())} |", flush=True)


if __name__ == "__main__":
    main()
