"""Reductions over the processes of a run inside a loss; a single process communicates with nobody.

Distributed data parallel averages the gradients of the processes. So that this average is the gradient of one loss
over the whole batch, a process divides its own sum by `mean_count`: mean(sum_r / (N / W)) = sum / N.
"""

import torch
from torch import distributed


def mean_count(count: int, device: torch.device) -> float:
    """The mean of a count over the processes; the total is at least 1, so that one can divide by it.

    Every process must call this equally often and in the same order.

    Args:
        count: of this process.
        device: of this process (NCCL reduces on GPUs only).
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return float(max(count, 1))
    total = torch.tensor(count, dtype=torch.long, device=device)
    distributed.all_reduce(total)
    return max(int(total), 1) / distributed.get_world_size()


def in_any_process(fact: bool, device: torch.device) -> bool:
    """Whether `fact` is true in any process; every process must call this."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return fact
    flag = torch.tensor(int(fact), device=device)
    distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
    return bool(flag)
