"""The paper's real network on a CPU: seconds and peak memory of training steps and of one full-size image.

The `cityscapes` preset (R-50, 256 channels, deformable decoders, masks, C = 128) takes steps on 512 x 1024 crops of a
drawn scene, then segments 1024 x 2048 with 100 detections. Weights are random: time and memory do not
depend on them.

    python experiments/full_size.py --json experiments/results/full_size.json
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from unipan.build import build_criterion, build_network
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.transforms import TrainingTransform, collate
from unipan.inference import Segmenter
from unipan.presets import cityscapes
from unipan.processes import peak_memory
from unipan.structures import ImageBatch, Target
from unipan.training.schedule import make_optimizer
from unipan.training.step import TrainingStep, runs_bf16


def peak_gib() -> float:
    """Largest resident memory of this process so far, in GiB."""
    return round((peak_memory() or 0) / 2**30, 2)


def timed(action: object) -> tuple[object, float]:
    """The result of a call and its seconds."""
    start = time.perf_counter()
    result = action()  # type: ignore[operator]
    return result, round(time.perf_counter() - start, 1)


def train_once(step: TrainingStep, optimizer: torch.optim.Optimizer, images: ImageBatch, target: Target) -> dict:
    """One whole optimiser step; the named losses."""
    terms = step(images, [target])
    step.criterion.total(terms).backward()
    torch.nn.utils.clip_grad_norm_(step.parameters(), 10.0)
    optimizer.step()
    optimizer.zero_grad()
    return {name: round(float(term.detach()), 3) for name, term in terms.items()}


def main() -> None:
    """Train, segment, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("experiments/results/full_size.json"))
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--skip-training", action="store_true", help="inference alone, for its own peak memory")
    args = parser.parse_args()
    config = replace(cityscapes(), backbone=replace(cityscapes().backbone, weights="none"))
    data = Scenes(range(1_000_000, 1_000_004), size=(1024, 2048))
    torch.manual_seed(0)
    network = build_network(config, data.categories)
    bf16 = runs_bf16(args.precision, torch.device("cpu"))
    record = {
        "parameters_millions": round(sum(p.numel() for p in network.parameters()) / 1e6, 1),
        "threads": torch.get_num_threads(),
        "bf16": bf16,
        "torch": torch.__version__,
    }
    if not args.skip_training:
        step = TrainingStep(network, build_criterion(config), bf16).train()
        optimizer = make_optimizer(step, replace(config.train, lr=1e-3))
        transform = TrainingTransform(config.data, data.categories)
        rows = []
        for number in range(args.steps):
            torch.manual_seed(number)
            image, target = transform(data[number])

            batch = collate([(image, "crop")])
            losses, seconds = timed(lambda batch=batch, target=target: train_once(step, optimizer, batch, target))
            rows.append({"crop": list(image.shape[-2:]), "seconds": seconds, "losses": losses})
            print(rows[-1], "peak", peak_gib(), "GiB", flush=True)
        record |= {"training_steps": rows, "training_peak_gib": peak_gib()}
    else:
        # 100 detections enter Psi, whatever scores the random network gives them.
        network.score_threshold = 0.0
        network.detection.roi.score_thresh, network.detection.roi.detections_per_img = 0.0, 100
        network.eval()
        segmenter = Segmenter(network, config, data.categories, {}, torch.device("cpu"))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            scene, network_seconds = timed(lambda: segmenter.scene(data[0].image))
        result, decode_seconds = timed(lambda: scene.result("affinity"))  # type: ignore[attr-defined]
        record |= {
            "image": list(scene.size),  # type: ignore[attr-defined]
            "detections": len(scene.network_detections),  # type: ignore[attr-defined]
            "network_seconds": network_seconds,
            "argmax_seconds": decode_seconds,
            "segments": len(result),  # type: ignore[arg-type]
            "inference_peak_gib": peak_gib(),
        }
    known = json.loads(args.json.read_text()) if args.json.exists() else {}
    known["inference" if args.skip_training else "training"] = record
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
