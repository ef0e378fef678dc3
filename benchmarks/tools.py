"""What PQ tools say of data with one fault each: the table of docs/evaluation.md, "Where tools differ".

Twelve drawn scenes; the prediction is the truth, moved by three pixels. Each case breaks one thing in the files.

    python benchmarks/tools.py
"""

import argparse
import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import hotcoco, plain, torchmetrics
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders
from unipan.panoptic.maps import panoptic_map

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


TOOLS: dict[str, Callable[[Path], float | str]] = {
    "unipan": lambda folder: ours(folder, "strict", False),
    "unipan --lenient": lambda folder: ours(folder, "strict", True),
    "unipan, official": lambda folder: ours(folder, "official", True),
    "panopticapi's algorithm": plain,
    "hotcoco": hotcoco,
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
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"| fault | {' | '.join(TOOLS)} |\n|---{'|---' * len(TOOLS)}|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = write(folder)
        for case, breakage in CASES.items():
            files = copy.deepcopy(sound)
            breakage(files)
            for side, content in files.items():
                (folder / f"{side}.json").write_text(json.dumps(content))
            print(f"| {case} | {' | '.join(say(tool, folder) for tool in TOOLS.values())} |", flush=True)


if __name__ == "__main__":
    main()
