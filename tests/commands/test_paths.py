"""A path that is not there is reported before anything heavy is imported, by every verb that reads one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from unipan.cli import VERBS

MISSING = [  # demo and scenes read nothing: there a folder that cannot be made stands for it
    "train finetune --data NOWHERE",
    "train finetune --data png16:NOWHERE",
    "train scenes --val NOWHERE",
    "train scenes --init NOWHERE",
    "train scenes --backbone.weights NOWHERE",
    "train scenes --resume --out NOWHERE",
    "train scenes_upsnet --data NOWHERE",
    "train cityscapes --data NOWHERE",
    "evaluate NOWHERE",
    "evaluate scenes NOWHERE",
    "evaluate scenes png16:NOWHERE",
    "predict NOWHERE IMAGE --out OUT",
    "predict scenes NOWHERE --out OUT",
    "predict scenes IMAGE --like NOWHERE --out OUT",
    "predict scenes IMAGE --submission coco --like NOWHERE --out OUT",
    "affinity NOWHERE IMAGE --pixel 1 1 --out OUT.png",
    "affinity scenes NOWHERE --pixel 1 1 --out OUT.png",
    "export NOWHERE --out OUT",
    "export scenes --data NOWHERE --out OUT",
    "push NOWHERE owner/name",
    "push scenes owner/name --onnx --data NOWHERE",
    "serve NOWHERE",
    "serve scenes --images NOWHERE --port 0",
    "figures NOWHERE --out OUT",
    "figures scenes NOWHERE --out OUT",
    "figures scenes --upsnet NOWHERE --out OUT",
    "import detectron2:NOWHERE --out OUT.safetensors",
    "import torchvision:maskrcnn_resnet50_fpn --file NOWHERE --out OUT.safetensors",
    "reproduce table1 --data NOWHERE",
    "reproduce table1 --from-records --records NOWHERE",
    "reproduce table1 --out IMAGE/NOWHERE/page",
    "demo --out IMAGE/NOWHERE/page",
    "scenes --out IMAGE/NOWHERE/page",
    "pq NOWHERE IMAGE",
    "pq IMAGE NOWHERE",
    "pq IMAGE IMAGE --versus NOWHERE",
    "data check NOWHERE",
    "data convert NOWHERE OUT",
    "data show NOWHERE --out OUT",
]
CODE = """
import contextlib, io, json, sys
from unipan.cli import main


class Barred:
    def find_spec(self, name, path=None, target=None):
        if name in {"torch", "torchvision", "lightning_fabric", "onnx", "onnxruntime"}:
            raise ModuleNotFoundError(name, name=name)  # ends in "this needs torch: pip install"


sys.meta_path.insert(0, Barred())
found = []
for line in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(line)
    found.append((code, said.getvalue()))
print(json.dumps(found))
"""


def test_a_missing_path_is_reported_without_torch(tmp_path: Path) -> None:
    image, places = tmp_path / "image.png", {"NOWHERE": "nowhere.json"}
    cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
    places |= {"IMAGE": str(image), "OUT": str(tmp_path / "out")}

    def filled(line: str) -> list[str]:
        for name, place in places.items():
            line = line.replace(name, place)
        return line.split()

    lines = [filled(line) for line in MISSING]
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(lines)],
        check=True, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"UNIPAN_TRACEBACK": ""},
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    wrong = [(line, *each) for line, each in zip(MISSING, found, strict=True) if not reported(*each)]
    assert wrong == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.png"]  # nothing was made


def reported(code: int, said: str) -> bool:
    """Whether an error names the path that is missing, in one sentence."""
    return code in (1, 2) and said.count("\n") == 1 and "nowhere.json" in said


def test_every_verb_is_among_them() -> None:
    assert {line.split()[0] for line in MISSING} == set(VERBS)
