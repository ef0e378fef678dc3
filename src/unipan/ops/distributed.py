"""What the processes of a run must know of each other inside a loss; one process alone needs nothing.

Distributed data parallel averages the gradients of the processes. So that this average is the gradient of one loss
over the whole batch, a process divides its own sum by `mean_count`: mean(sum_r / (N / W)) = sum / N.
"""

import torch
from torch import distributed


def mean_count(count: int, device: torch.device) -> float:
    """The mean of a count over the processes; at least 1 over all of them, so that one can divide by it.

    Every process must call it, as often and in the same order as the others.

    Args:
        count: of this process.
        device: where this process computes (NCCL sums on GPUs alone).
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return float(max(count, 1))
    total = torch.tensor(count, dtype=torch.long, device=device)
    distributed.all_reduce(total)
    return max(int(total), 1) / distributed.get_world_size()


def in_any_process(fact: bool, device: torch.device) -> bool:
    """Whether something is so in any process; every process must call it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return fact
    flag = torch.tensor(int(fact), device=device)
    distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
    return bool(flag)
