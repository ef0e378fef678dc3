"""Products of 32-bit matrices on a CPU by oneDNN, which PyTorch itself takes for most convolutions.

PyTorch leaves matrices to MKL and, with one thread, 1x1 convolutions too. On an AMD EPYC with AVX-512 a core did 80 to
95 GFLOP/s by MKL and 170 to 200 by oneDNN (torch 2.15; 1,820 x 2,304 by 2,304 x 128, and 1,000 x 12,544 by
12,544 x 1,024).

Legend: n rows, I O their numbers before and after.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

ROWS = 128
"""oneDNN makes, and keeps, a kernel for each number of rows; so it is given multiples of this, and MKL the rest."""


def rows_times(
    rows: Float[Tensor, "n I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None
) -> Float[Tensor, "n O"]:
    """`F.linear`, equal to rounding."""
    whole = len(rows) // ROWS * ROWS if multiplies_by_onednn(rows) else 0
    if whole == 0:
        return F.linear(rows, weight, bias)
    # As an image (1, I, n, 1) whose channels come last in memory, and so do those of the result.
    pixels = rows[:whole].contiguous().view(1, whole, 1, rows.shape[1]).permute(0, 3, 1, 2)
    found = torch.mkldnn_convolution(pixels, weight[:, :, None, None], bias, (0, 0), (1, 1), (1, 1), 1)
    product = found.permute(0, 2, 3, 1).reshape(whole, len(weight))
    return product if whole == len(rows) else torch.cat([product, F.linear(rows[whole:], weight, bias)])


def multiplies_by_onednn(values: Tensor) -> bool:
    """Whether `rows_times` asks oneDNN: for 32 bits on a CPU, where nothing is traced and nothing chooses the type."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    usual = values.device.type == "cpu" and values.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return usual and torch.backends.mkldnn.is_available() and not traced  # type: ignore[no-untyped-call]
