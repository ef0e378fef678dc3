"""App. B: the learning rate over the iterations."""

import math
from collections.abc import Collection
from dataclasses import replace

import torch

from unipan.config import TrainConfig

FEW_STEPS, FEW_STEPS_AFRESH = 100, 600
"""With fewer, most things are not found yet, from a trained checkpoint and with fresh heads: nuclei had PQ 66 after 110
steps and 77 after 310, drawn scenes from scratch 51 after 350 and 68 to 73 after 600 (docs/results)."""


def describe_length(config: TrainConfig, images: int, trained: bool) -> str:
    """How often a training sees each of its images, and a warning if its steps are few.

    Args:
        images: of the training data.
        trained: the heads start from a checkpoint, not afresh.
    """
    seen = config.iterations * config.batch_size / images
    times = f"{seen:.0f} times" if seen >= 10 else f"{seen:.1f} times" if seen > 1 else "at most once"
    text = f"{config.iterations} steps of {config.batch_size} images see each of the {images} images {times}"
    enough = enough_steps(trained)
    if config.iterations >= enough:
        return text
    start = "from a trained checkpoint" if trained else "with fresh heads"
    return f"{text}; warning: these are few steps, and {start} many things are only found after about {enough}"


def enough_steps(trained: bool) -> int:
    """After how many steps most things are found, if the heads start from a checkpoint, or afresh."""
    return FEW_STEPS if trained else FEW_STEPS_AFRESH


def learning_rate_factor(iteration: int, config: TrainConfig) -> float:
    """The factor on the base learning rate at an iteration (0-based).

    A linear warm-up from `warmup_factor`, then either a tenth after each milestone or a half cosine to zero.
    """
    warmup = min(config.warmup, config.iterations // 10)
    if iteration < warmup:
        return config.warmup_factor + (1 - config.warmup_factor) * iteration / warmup
    if config.schedule == "cosine":
        share = (iteration - warmup) / max(config.iterations - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return 0.1 ** sum(iteration >= share * config.iterations for share in config.milestones)


def panoptic_begins(config: TrainConfig) -> int:
    """The iteration (0-based) from which the panoptic submodule takes part."""
    return round(config.panoptic_from * config.iterations)


def make_optimizer(network: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with momentum 0.9 or AdamW; weight decay only on weights of two or more dimensions.

    Biases, including those of norms, get `bias_lr_factor` times the learning rate (maskrcnn-benchmark's recipe), in a
    separate group if the factor is not 1.
    """
    wanted = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    apart = config.bias_lr_factor != 1
    biases = [p for name, p in wanted if apart and name.rpartition(".")[2] == "bias"]
    held = {id(p) for p in biases}
    others = [p for _, p in wanted if id(p) not in held]
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if apart:
        groups.append({"params": biases, "weight_decay": 0.0, "lr_factor": config.bias_lr_factor})
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)


def set_learning_rate(optimizer: torch.optim.Optimizer, iteration: int, config: TrainConfig) -> float:
    """Set every group's learning rate for an iteration and return that of the weights."""
    rate = config.lr * learning_rate_factor(iteration, config)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_factor", 1.0)
    return rate


def linear_rule(config: TrainConfig, explicit: Collection[str] = ()) -> tuple[TrainConfig, str]:
    """The schedule for `batch_size`, of a recipe published for `reference_batch` (arXiv 1706.02677, Sec. 2.1).

    With k times the images in a step: k times the learning rate, 1/k of the iterations and of the warm-up. Milestones
    are fractions of the iterations, so they scale as well, and the number of epochs stays the same.

    Args:
        config: without a reference batch nothing changes.
        explicit: names of fields (`lr`, `iterations`, `warmup`) that the user has set; these are kept.

    Returns:
        The new fields, and a sentence that says what was changed ("" if nothing was).
    """
    if not config.reference_batch or config.batch_size == config.reference_batch:
        return config, ""
    factor = config.batch_size / config.reference_batch
    scaled = {
        "lr": config.lr * factor,
        "iterations": max(1, round(config.iterations / factor)),
        "warmup": round(config.warmup / factor),
    }
    changes = {name: value for name, value in scaled.items() if name not in explicit}
    kept = [name for name in scaled if name in explicit]
    said = [f"{name} {getattr(config, name):.9g} -> {value:.9g}" for name, value in changes.items()]
    said += [f"{name} {getattr(config, name):.9g} as given" for name in kept]
    sentence = (
        f"batch {config.batch_size} instead of the recipe's {config.reference_batch}, so by the linear rule: "
        f"{', '.join(said)}" + ("; the epochs stay" if "iterations" in changes else "")
    )
    return replace(config, **changes), sentence  # type: ignore[arg-type]
