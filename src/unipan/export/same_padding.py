"""TensorFlow's "same" padding in networks of timm, as the exporter can follow it: the same at every size.

timm computes it from the size of each layer's input. Where the exporter keeps sizes open, one layer's formula contains
those of all before it: the backbone of the checkpoint `photos` was not through after twelve minutes of a processor.
"""

import contextlib
import sys
from collections.abc import Generator, Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

MODULES = ("timm.layers.conv2d_same", "timm.layers.pool2d_same", "timm.layers.std_conv")
"""Those that call `pad_same`, each by a name of its own."""


def pad_whole_strides(
    x: Float[Tensor, "*B H W"],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int] = (1, 1),
    value: float = 0,
) -> Float[Tensor, "*B _ _"]:
    """timm's `pad_same` where both sides are multiples of the stride, as they are in images of multiples of 32."""
    down, across = (
        max(step * (side - 1) + 1 - gap, 0) for side, gap, step in zip(kernel_size, stride, dilation, strict=True)
    )
    return pad(x, (across // 2, across - across // 2, down // 2, down - down // 2), value=value)


@contextlib.contextmanager
def padded_by_whole_strides() -> Generator[None]:
    """Every layer of timm that pads by the size of its input pads so."""
    found = [module for name in MODULES if (module := sys.modules.get(name)) is not None]
    before = [vars(module)["pad_same"] for module in found]
    for module in found:
        vars(module)["pad_same"] = pad_whole_strides
    try:
        yield
    finally:
        for module, function in zip(found, before, strict=True):
            vars(module)["pad_same"] = function
