"""App. B: the learning rate over the iterations."""

import math

import torch

from unipan.config import TrainConfig


def learning_rate_factor(iteration: int, config: TrainConfig) -> float:
    """What the base learning rate is multiplied by at an iteration (0-based).

    A linear warm-up from `warmup_factor`, then either a tenth after each milestone or a half cosine to zero.
    """
    warmup = min(config.warmup, config.iterations // 10)
    if iteration < warmup:
        return config.warmup_factor + (1 - config.warmup_factor) * iteration / warmup
    if config.schedule == "cosine":
        share = (iteration - warmup) / max(config.iterations - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return 0.1 ** sum(iteration >= share * config.iterations for share in config.milestones)


def make_optimizer(network: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with momentum .9 or AdamW; weight decay on weights of two and more dimensions only."""
    wanted = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in wanted if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)


def set_learning_rate(optimizer: torch.optim.Optimizer, iteration: int, config: TrainConfig) -> float:
    """Set every group's learning rate for an iteration and return it."""
    rate = config.lr * learning_rate_factor(iteration, config)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
