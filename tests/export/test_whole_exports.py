"""A network with a timm backbone and all four fusions, exported to a folder, is what it was, without torch too."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import config

from tests.export.test_detection import network_of
from tests.export.test_wrappers import configured
from tests.exported.test_segmenter import WITHOUT_TORCH
from tests.tiny import CATEGORIES, Drawn, draw
from unipan.checkpoint import save_checkpoint
from unipan.export.parity import differing_pixels
from unipan.export.write import export_folder
from unipan.exported.scene import ExportedScene
from unipan.exported.segmenter import ExportedSegmenter
from unipan.inference import Segmenter
from unipan.scene import Scene

pytestmark = pytest.mark.usefixtures("no_type_checks")
FUSIONS = ("affinity", "potential", "heuristic", "upsnet")
SETTINGS: dict[str, object] = {
    "backbone.network": "test_efficientnet",
    "potential.variant": "A",
    "potential.void_channel": True,
    "heuristic.score_threshold": 0.0,
    "upsnet.score_threshold": 0.0,
}
EDIT = ([[9, 9, 60, 50], [30, 20, 90, 60]], [0.9, 0.8], [1, 0])
CODE = """
import sys
import cv2, numpy, unipan
folder, picture, out = sys.argv[1:]
scene = unipan.Segmenter.load(folder).scene(picture)
edited = scene.edit([[9, 9, 60, 50], [30, 20, 90, 60]], [0.9, 0.8], [1, 0])
found = {"affinity": scene.affinity(20, 30), "edited affinity": edited.affinity(20, 30)}
for fusion in ("affinity", "potential", "heuristic", "upsnet"):
    found["ids " + fusion] = scene.result(fusion).ids
    found["edited ids " + fusion] = edited.result(fusion).ids
assert "torch" not in sys.modules
numpy.savez(out, **found)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, settings = tmp_path_factory.mktemp("whole") / "net.safetensors", configured(SETTINGS)
    save_checkpoint(path, network_of(settings).state_dict(), settings, CATEGORIES, {})
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    out = checkpoint.with_name("deployed")
    out.mkdir()
    config.update("jaxtyping_disable", True)  # as `no_type_checks`, which comes after fixtures of a module
    try:
        export_folder(checkpoint, out, Drawn([2, 3]), [0, 1])
    finally:
        config.update("jaxtyping_disable", False)
    return out


@pytest.fixture(scope="module")
def scenes(checkpoint: Path, exported: Path) -> tuple[Scene, ExportedScene]:
    image = draw(5).image
    return Segmenter.load(checkpoint).scene(image), ExportedSegmenter.load(exported, threads=1).scene(image)


def test_a_backbone_of_timm_passes_the_gate(exported: Path) -> None:
    told = json.loads((exported / "model.json").read_text())
    assert told["config"]["backbone"]["network"] == "test_efficientnet"
    assert told["parity"]["images"] == 2
    assert told["parity"]["pixels_differing"] <= 0.001
    assert told["parity"]["pq"]["torch"] == pytest.approx(told["parity"]["pq"]["onnxruntime"], abs=5e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_each_fusion_gives_the_map_of_torch(fusion: str, scenes: tuple[Scene, ExportedScene]) -> None:
    for one, other in (scenes, [each.edit(*EDIT) for each in scenes]):
        mine, theirs = one.result(fusion), other.result(fusion)
        assert len(theirs.segments) > 1
        assert differing_pixels(mine, theirs) <= 0.001 * mine.ids.size


def test_edits_affinities_and_fusions_where_torch_is_not_installed(
    exported: Path, scenes: tuple[Scene, ExportedScene], tmp_path: Path
) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.ascontiguousarray(scenes[0].image[..., ::-1]))
    command = [sys.executable, "-c", WITHOUT_TORCH + CODE, exported, tmp_path / "a.png", tmp_path / "found.npz"]
    subprocess.run(command, check=True)
    found = dict(np.load(tmp_path / "found.npz"))
    assert len(found) == 2 + 2 * len(FUSIONS)
    for prefix, scene in (("", scenes[0]), ("edited ", scenes[0].edit(*EDIT))):
        expected = scene.affinity(20, 30)
        np.testing.assert_allclose(found[f"{prefix}affinity"], expected, atol=1e-4 * np.abs(expected).max())
        for fusion in FUSIONS:
            ids = scene.result(fusion).ids
            assert (ids != found[f"{prefix}ids {fusion}"]).sum() <= 0.001 * ids.size
