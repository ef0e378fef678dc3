"""Make a trained run the package's bundled checkpoint, and measure it the way README states.

1. With masks, the four thresholds of the heuristic fusion are tuned by grid search on separate scenes, so that the
   comparison is fair; the whole grid is committed next to the checkpoint.
2. Its fusions are scored on 200 scenes that neither the training nor the grid search has seen, and how well its
   affinities tell objects apart.
3. Its graphs for onnxruntime, without weights, are made beside it (`unipan export NAME --beside`). A checkpoint without
   its backbone, which a package carries, has none.

    python experiments/bundle.py runs/scenes --name scenes
    python experiments/bundle.py runs/scenes_mask_free --name scenes_mask_free
    python experiments/bundle.py runs/photos --name photos
"""

import argparse
import csv
import itertools
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from unipan.analysis.evaluate import AP_DETECTIONS, Evaluation, evaluate
from unipan.checkpoint import load_checkpoint, save_checkpoint
from unipan.config import Fusion, HeuristicConfig
from unipan.datasets.scenes.generator import Scenes
from unipan.evaluation.bootstrap import bootstrap_pq, paired_bootstrap_pq
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.export.write import export_beside
from unipan.fusion.heuristic import merge
from unipan.inference import Segmenter

GRID_SEEDS = range(3_000_000, 3_000_080)
TEST_SEEDS = range(4_000_000, 4_000_200)
GRID = {
    "score_threshold": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "overlap_threshold": (0.1, 0.2, 0.3, 0.5, 0.7),
    "mask_threshold": (0.4, 0.5, 0.6, 0.7),
    "min_stuff_area": (0.0, 0.002, 0.005, 0.0133),
}


def search(segmenter: Segmenter, seeds: range) -> list[tuple[HeuristicConfig, dict[str, float]]]:
    """PQ of every cell of the grid, best first; the network runs once per image."""
    cells = [HeuristicConfig(*values) for values in itertools.product(*GRID.values())]
    found = [PanopticQuality(segmenter.categories) for _ in cells]
    for sample in (Scenes(seeds)[i] for i in range(len(seeds))):
        scene = segmenter.scene(sample.image)
        output = scene.output
        for cell, quality in zip(cells, found, strict=True):
            merged = merge(
                output.candidates[0],
                scene.semantic,
                segmenter.categories,
                cell,
                scene.geometry,
            )
            quality.update(sample.truth, merged, sample.name)
    rows = [(cell, percent(quality)) for cell, quality in zip(cells, found, strict=True)]
    return sorted(rows, key=lambda row: -row[1]["All"])


def percent(quality: PanopticQuality) -> dict[str, float]:
    """PQ of the three groups."""
    scores = quality.compute()
    return {group: round(100 * each.pq, 2) for group in ("All", "Things", "Stuff") if (each := scores[group])}


def interval(found: dict) -> dict[str, list[float]]:
    """Value, low and high in percent."""
    return {group: [round(100 * v, 2) for v in (i.value, i.low, i.high)] for group, i in found.items() if i}


def report(found: Evaluation) -> dict[str, object]:
    """PQ of each fusion and the two steps between them, with 95 % intervals over the scenes."""
    quality = found.quality
    steps = [("affinity", "potential"), ("potential", "heuristic"), ("affinity", "heuristic")]
    assert found.precision is not None
    assert found.separation is not None
    scores = {fusion: each.compute().to_json() for fusion, each in quality.items()}
    return {
        "pq": {fusion: interval(bootstrap_pq(each)) for fusion, each in quality.items()},
        **{
            f"{one} - {other}": interval(paired_bootstrap_pq(quality[one], quality[other]))
            for one, other in steps
            if other in quality
        },
        "miou": round(100 * (found.semantic.compute().mean or 0), 2),
        "ap": {
            kind: None if value is None else round(100 * value, 2) for kind, value in found.precision.compute().items()
        },
        "auc": found.separation.to_json(),
        "sq_rq": {
            fusion: {group: [round(100 * s[group][k], 2) for k in ("sq", "rq")] for group in ("All", "Things", "Stuff")}
            for fusion, s in scores.items()
        },
    }


def main() -> None:
    """Search, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/scenes"))
    parser.add_argument("--name", default="scenes")
    parser.add_argument("--out", type=Path, default=Path("src/unipan/checkpoints"))
    parser.add_argument(
        "--remeasure", action="store_true", help="keep weights and thresholds, score the bundled file again"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.out / f"{args.name}.safetensors"
    if args.remeasure:
        loaded = load_checkpoint(path)
        best, training = loaded.config.heuristic, loaded.metrics["training"]
    else:
        loaded = load_checkpoint(args.run / "last.safetensors")
        best, training = loaded.config.heuristic, loaded.metrics
        if loaded.config.detection.masks:
            segmenter = Segmenter(loaded.network, loaded.config, loaded.categories, {}, torch.device("cpu"))
            grid = search(segmenter, GRID_SEEDS)
            best = grid[0][0]
            write_grid(args.out / f"{args.name}.heuristic.csv", grid)
        shutil.copy(args.run / "log.csv", args.out / f"{args.name}.log.csv")
    config = replace(loaded.config, heuristic=best)
    write = partial(save_checkpoint, path, loaded.network.state_dict(), config, loaded.categories)
    packaged = config.backbone.fixed
    write({}, half=True, packaged=packaged)
    # Score the file that is shipped, with its 16-bit weights.
    fusions: tuple[Fusion, ...] = ("affinity", "potential", *(["heuristic"] if config.detection.masks else []))
    found = evaluate(Segmenter.load(path), Scenes(TEST_SEEDS), fusions, detections=AP_DETECTIONS)
    measured = {
        "test_seeds": [TEST_SEEDS.start, TEST_SEEDS.stop - 1],
        **(
            {"grid_seeds": [GRID_SEEDS.start, GRID_SEEDS.stop - 1], "thresholds": vars(best)}
            if config.detection.masks
            else {}
        ),
        "training": training,
    } | report(found)
    write(measured, half=True, packaged=packaged)
    (args.out / f"{args.name}.json").write_text(json.dumps(measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))
    if not packaged:
        print(*export_beside(path, Scenes(TEST_SEEDS), range(20)).lines(), sep="\n")


def write_grid(path: Path, grid: list[tuple[HeuristicConfig, dict[str, float]]]) -> None:
    """All cells, best first."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*GRID, "PQ", "PQ things", "PQ stuff"])
        writer.writerows([*vars(cell).values(), *scores.values()] for cell, scores in grid)


if __name__ == "__main__":
    main()
