"""Your own data in ten minutes: polygons of LabelMe to a trained network and its first results.

Without a folder, a small set of pictures with polygons is drawn, as LabelMe saves them, so that this runs anywhere.

    python examples/own_data.py                             # drawn pictures, a few steps: seconds
    python examples/own_data.py --minutes 10 my_labelme     # yours
"""

import argparse
import json
from pathlib import Path
from tempfile import mkdtemp

import cv2
import numpy as np

from unipan.cli import main as command


def draw_labelled(folder: Path, count: int = 8) -> None:
    """Pictures of plates and leaves on a table, with LabelMe's JSON beside each."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        image = np.full((96, 128, 3), (188, 170, 150), np.uint8)
        shapes = []
        for label, color in (("plate", (235, 235, 240)), ("leaf", (60, 140, 70)), ("plate", (215, 220, 235))):
            x, y = rng.integers(22, 106), rng.integers(22, 74)
            angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            radius = 18 if label == "plate" else 14 * np.abs(np.cos(angle)) + 4
            points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
            cv2.fillPoly(image, [points.astype(np.int32)], color, cv2.LINE_AA)
            shapes.append({"label": label, "points": points.tolist(), "shape_type": "polygon", "group_id": None})
        cv2.imwrite(str(folder / f"table_{number}.png"), image)
        content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"table_{number}.png"}
        (folder / f"table_{number}.json").write_text(json.dumps({**content, "imageHeight": 96, "imageWidth": 128}))


def run(*words: str | Path) -> None:
    """One command of unipan, shown as it would be typed."""
    print("\n$ unipan", *words)
    if code := command([str(word) for word in words]):
        raise SystemExit(code)


def main() -> None:
    """Convert, check, train, predict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="pictures with LabelMe's JSON beside them")
    parser.add_argument("--minutes", type=float, help="of training; by default a few steps, to see that it runs")
    given = parser.parse_args()
    place = Path(mkdtemp(prefix="unipan-example-"))
    folder = given.folder or place / "labelled"
    if given.folder is None:
        draw_labelled(folder)

    # The polygons become a dataset in COCO panoptic format; what nothing covers is one stuff class.
    run("data", "convert", f"labelme:{folder}", place / "data", "--overlap", "last", "--background", "background")
    run("data", "check", place / "data")
    run("data", "show", place / "data", "--out", place / "data.html")
    short = "--train.iterations 2 --train.batch-size 2 --train.validations 1 --data.short-side 96 --data.max-side 128"
    length = ["--minutes", str(given.minutes)] if given.minutes else short.split()
    run("train", "finetune", "--data", place / "data", "--out", place / "run", "--train.num-workers", "0", *length)
    run("evaluate", place / "run" / "best.safetensors", place / "data")
    run("predict", place / "run" / "best.safetensors", place / "data" / "images", "--out", place / "out", "--csv")


if __name__ == "__main__":
    main()
