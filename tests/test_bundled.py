"""The bundled checkpoints are measured again on every run of the tests, so that code and weights cannot drift apart."""

import csv
import json
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from unipan.analysis.evaluate import Evaluation, evaluate
from unipan.checkpoint import PACKAGED_PART
from unipan.checkpoint_header import packaged_digest, read_arrays, read_header
from unipan.config import Fusion, HeuristicConfig
from unipan.datasets.scenes.generator import HELD_OUT, SCENE_CATEGORIES, Scenes
from unipan.evaluation.bootstrap import paired_bootstrap_pq
from unipan.files import checkpoint_path
from unipan.inference import Segmenter
from unipan.presets import preset

FOLDER = Path(str(resources.files("unipan") / "checkpoints"))
FUSIONS: dict[str, tuple[Fusion, ...]] = {
    "scenes": ("affinity", "potential", "heuristic"),
    "scenes_mask_free": ("affinity", "potential"),
}
MEGABYTES = 1e6
FEW = 16


def committed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


@cache
def measured(name: str) -> Evaluation:
    first, last = committed(name)["test_seeds"]
    assert first >= HELD_OUT
    return evaluate(Segmenter.load(name), Scenes(range(first, last + 1)), FUSIONS[name])


@pytest.mark.parametrize("name", FUSIONS)
def test_the_file_is_small_and_ours(name: str) -> None:
    path = checkpoint_path(name)
    assert path.stat().st_size <= 15 * MEGABYTES
    config, categories, metrics = read_header(path)
    assert config.backbone.weights == "none", "no foreign weights"
    assert config.detection.masks == ("heuristic" in FUSIONS[name])
    assert categories == SCENE_CATEGORIES
    assert metrics["pq"] == committed(name)["pq"]
    # Presets may gain fields of training alone; what the network is and how it is read stays the recipe's.
    assert replace(config, heuristic=preset(name).heuristic, train=preset(name).train) == preset(name)


@pytest.mark.parametrize(("name", "fusion"), [(name, fusion) for name, each in FUSIONS.items() for fusion in each])
def test_pq_is_what_was_committed(name: str, fusion: Fusion) -> None:
    scores = measured(name).quality[fusion].compute()
    for group, (value, _, _) in committed(name)["pq"][fusion].items():
        found = scores[group]
        assert found is not None
        # Other processors round convolutions otherwise, and a few pixels of 200 scenes change sides.
        assert 100 * found.pq == pytest.approx(value, abs=0.25), f"{fusion}, {group}"


def test_the_papers_point_holds() -> None:
    """PQ of P > of Psi > of tuned heuristic fusion, each step clear of zero; P's lead also in things and in stuff."""
    quality = measured("scenes").quality
    affinity = quality["affinity"].compute()["All"]
    assert affinity is not None
    assert affinity.pq >= 0.75
    for worse in ("potential", "heuristic"):
        for group, step in paired_bootstrap_pq(quality["affinity"], quality[worse]).items():
            assert step is not None
            assert step.low > 0, f"affinity - {worse}, {group}: {step}"
    steps = paired_bootstrap_pq(quality["potential"], quality["heuristic"])
    assert steps["All"] is not None
    assert steps["All"].low > 0, f"potential - heuristic: {steps['All']}"
    for group, step in steps.items():
        assert step is not None
        assert step.high > 0, f"potential - heuristic, {group}: {step}"


def test_without_masks_p_is_ahead_of_psi_too() -> None:
    quality = measured("scenes_mask_free").quality
    for group, step in paired_bootstrap_pq(quality["affinity"], quality["potential"]).items():
        assert step is not None
        assert step.low > 0, f"{group}: {step}"


def test_the_thresholds_of_heuristic_fusion_are_the_best_of_the_committed_grid() -> None:
    with (FOLDER / "scenes.heuristic.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 100
    best = max(rows, key=lambda row: float(row["PQ"]))
    config, _, _ = read_header(checkpoint_path("scenes"))
    assert config.heuristic == HeuristicConfig(
        *(float(best[key]) for key in ("score_threshold", "overlap_threshold", "mask_threshold", "min_stuff_area"))
    )
    grid, test = (
        range(first, last + 1) for first, last in (committed("scenes")[kind] for kind in ("grid_seeds", "test_seeds"))
    )
    assert grid[0] >= HELD_OUT
    assert grid[-1] < test[0] or test[-1] < grid[0], "searched on its own scenes"


@pytest.mark.parametrize("name", FUSIONS)
def test_the_training_log_lies_beside_it(name: str) -> None:
    with (FOLDER / f"{name}.log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    config, _, metrics = read_header(checkpoint_path(name))
    assert int(rows[-1]["iteration"]) == config.train.iterations == metrics["training"]["iteration"]
    assert float(rows[-1]["pq"]) > 0.7


def test_the_start_for_photographs_has_heads_alone_and_knows_scenes() -> None:
    """Its backbone comes from a package; `finetune` starts from it where that is installed."""
    path = checkpoint_path("photos")
    assert path.stat().st_size <= 4 * MEGABYTES
    assert packaged_digest(path) is not None
    assert not [key for key in read_arrays(path) if key.startswith(PACKAGED_PART)], "no foreign weights"
    config, categories, metrics = read_header(path)
    assert (config.backbone.network, config.backbone.fixed) == ("tf_efficientnet_lite0", True)
    assert categories == SCENE_CATEGORIES
    assert metrics["pq"] == committed("photos")["pq"]
    first, _ = committed("photos")["test_seeds"]
    found = evaluate(Segmenter.load("photos"), Scenes(range(first, first + FEW)), ("affinity",)).quality["affinity"]
    scores = found.compute()["All"]
    assert scores is not None
    # Of the first scenes alone: what was measured with these weights, and not the figure of all 200.
    assert 100 * scores.pq == pytest.approx(committed("photos")["pq_of_the_first"][str(FEW)], abs=0.5)
