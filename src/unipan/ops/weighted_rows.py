"""Weighted sums of rows of a table, by `embedding_bag`: bilinear sampling where the channels of a pixel are one row.

On a CPU this is the quick way to sample: a row is contiguous, and `embedding_bag` adds rows by vector instructions.
The backward pass of `embedding_bag` adds row after row; `shared_out` is another sum of weighted rows, of those that are
given out, equal to it, and takes a fifth of the time.

Legend: N rows of the table, I channels, n sums, k rows in each sum.
"""

import torch
from jaxtyping import Float, Int32
from torch import Tensor
from torch.nn import functional as F

PIECE_BYTES = 16 << 20
"""Of sums at once. Above 32 MiB, glibc asks the system for fresh memory each time, which takes longer than adding."""


def weighted_rows(
    table: Float[Tensor, "N I"], rows: Int32[Tensor, "n k"], weights: Float[Tensor, "n k"]
) -> Float[Tensor, "n I"]:
    """For each sum its k rows of the table, weighted and added.

    Args:
        table: the pixels, in float16, bfloat16, float32 or float64.
        rows: each from 0 to N - 1.
        weights: in the type of the table.
    """
    return F.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")


def shared_out(
    sums: Float[Tensor, "n I"], rows: Int32[Tensor, "n k"], weights: Float[Tensor, "n k"], count: int
) -> Float[Tensor, "N I"]:
    """The transpose of `weighted_rows`: each sum is given to its k rows, by weight; a table of `count` rows."""
    if not len(sums):
        return sums.new_zeros(count, sums.shape[1])
    ordered, order = rows.flatten().sort()
    ends = torch.bincount(ordered, minlength=count).cumsum(0)
    starts = F.pad(ends[:-1], (1, 0)).int()
    givers = (order // rows.shape[1]).int()
    return F.embedding_bag(givers, sums, starts, per_sample_weights=weights.flatten()[order], mode="sum")


def samples_by_rows(features: Tensor) -> bool:
    """Whether sums of weighted rows take the place of torchvision's kernels: on a CPU, where nothing is being traced.

    An exporter or a compiler sees torchvision's operators, for which other runtimes have kernels.
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return features.device.type == "cpu" and not traced
