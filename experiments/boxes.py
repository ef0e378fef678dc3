"""What boxes instead of masks cost: training on boxes with class pictures against training on masks.

`make` writes, from a dataset with full masks, what a detection set has (a JSON of boxes, and a picture of classes per
image), and reads it back by the rule of `--class-maps`: a thing pixel in exactly one box of its class is that box's,
any other is void. It says how much of the things the rule keeps. `run` trains on both for the same time, from the same
checkpoint and with the same seeds, and evaluates both on the same images with full masks.

    python experiments/boxes.py make ../shared/data/nuclei --out runs/boxes/nuclei
    python experiments/boxes.py run ../shared/data/nuclei --out runs/boxes/nuclei --minutes 60 --seeds 0 1 2
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.formats.coco_panoptic import FORMAT, CocoPanoptic
from unipan.datasets.formats.convert import open_nonempty, write_dataset
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.writing import stem_of, write_png
from unipan.files import write_json
from unipan.panoptic.maps import PanopticMap, class_map

KINDS = ("masks", "boxes")


def write_boxes(data: CocoPanoptic, folder: Path) -> Path:
    """A JSON of boxes and `classes/NAME.png`; returns the JSON. Crowds keep `iscrowd`."""
    ids = np.array([*(category.id for category in data.categories), 0])
    if ids.max() > 65535:
        raise ValueError(f"{data.source}: category ids up to {ids.max()} do not fit into 16 bits")
    images: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(data.file_names):
        truth, key = data.truth(index), data.image_ids[index]
        height, width = truth.ids.shape
        images.append({"id": key, "file_name": name, "height": height, "width": width})
        for segment in truth:
            if segment.isthing:
                row = {"id": len(rows) + 1, "image_id": key, "category_id": segment.category.id}
                rows.append({**row, "bbox": list(segment.bbox), "iscrowd": int(segment.iscrowd)})
        write_png(folder / "classes" / f"{stem_of(name)}.png", ids[class_map(truth, data.categories)].astype(np.uint16))
    content = {"images": images, "annotations": rows, "categories": data.categories.to_coco()}
    return write_json(folder / "boxes.json", content)


def kept(masks: PanopticMap, boxes: PanopticMap) -> tuple[int, int]:
    """Pixels of things in the masks, and how many of them the boxes leave to one object."""
    things = np.isin(masks.ids, [segment.id for segment in masks if segment.isthing and not segment.iscrowd])
    return int(things.sum()), int((things & (boxes.ids > 0)).sum())


def make(args: argparse.Namespace) -> None:
    """Write the two training sets; the one of masks is the data itself."""
    data = CocoPanoptic(args.data / "train")
    source = write_boxes(data, args.out / "source")
    options = FormatOptions(images=args.data / "train" / "images", class_maps=args.out / "source" / "classes")
    found = open_nonempty(f"coco-instances:{source}", options)
    counts = np.zeros(2, np.int64)
    objects = np.zeros(2, np.int64)
    for index in range(len(data)):
        masks, boxes = data.truth(index), found.truth(index)
        counts += kept(masks, boxes)
        objects += [sum(s.isthing and not s.iscrowd for s in each) for each in (masks, boxes)]
    made = write_dataset(found, FORMAT, args.out / "boxes", options)
    print("\n".join(made.lines()))
    share = {"objects": objects.tolist(), "pixels of things": counts.tolist()}
    write_json(args.out / "kept.json", share)
    print(
        f"of {objects[0]} things {objects[1]} have a pixel of their own, {counts[1] / max(counts[0], 1):.1%} of pixels"
    )


def run(args: argparse.Namespace) -> None:
    """Train on masks and on boxes by turns, and print PQ on the validation images, which have masks."""
    for seed in args.seeds:
        for kind in KINDS:
            train = args.data / "train" if kind == "masks" else args.out / "boxes"
            folder = args.out / f"{kind}-s{seed}"
            unipan = [sys.executable, "-m", "unipan"]
            common = ["--data", str(train), "--val", str(args.data / "val"), "--out", str(folder), "--seed", str(seed)]
            if not (folder / "best.safetensors").exists():
                command = [*unipan, "train", "finetune", *common, "--minutes", str(args.minutes), *args.option]
                subprocess.run(command, check=True)
            report = folder / "scores.json"
            command = [
                *unipan,
                "evaluate",
                str(folder / "best.safetensors"),
                str(args.data / "val"),
                "--json",
                str(report),
            ]
            if args.limit:
                command += ["--limit", str(args.limit)]
            subprocess.run(command, check=True)
            print(f"{kind}, seed {seed}: {report}")


def main() -> None:
    """`make` or `run`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["make", "run"])
    parser.add_argument("data", type=Path, help="a folder with train/ and val/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--limit", type=int, default=0, help="evaluate only so many images")
    parser.add_argument(
        "--option", nargs=argparse.REMAINDER, default=[], help="further options of `unipan train`, last"
    )
    args = parser.parse_args()
    make(args) if args.step == "make" else run(args)


if __name__ == "__main__":
    main()
