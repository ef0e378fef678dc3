"""The network at inference: the same function in fewer and quicker operations."""

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unipan.models.folding import fold_batch_norm
from unipan.ops.products import multiplies_by_onednn, rows_times

Network = TypeVar("Network", bound=nn.Module)


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution as a product of the pixels, where they lie with their channels last."""

    def forward(self, input: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        """The convolution."""
        if not (multiplies_by_onednn(input) and input.is_contiguous(memory_format=torch.channels_last)):
            return super().forward(input)
        batch, _, height, width = input.shape
        pixels = rows_times(input.permute(0, 2, 3, 1).flatten(0, 2), self.weight[:, :, 0, 0], self.bias)
        return pixels.view(batch, height, width, self.out_channels).permute(0, 3, 1, 2)


class RowsLinear(nn.Linear):
    """A fully connected layer on rows."""

    def forward(self, input: Float[Tensor, "*n I"]) -> Float[Tensor, "*n O"]:
        """The layer."""
        return rows_times(input, self.weight, self.bias) if input.ndim == 2 else super().forward(input)


def for_inference(network: Network) -> Network:
    """Fold batch norm, put channels last, and multiply by oneDNN; in place.

    Args:
        network: in evaluation mode; it can no longer be trained or saved as a checkpoint.

    Raises:
        ValueError: the network is in training mode.
    """
    fold_batch_norm(network)
    for module in network.modules():
        if type(module) is nn.Linear:
            module.__class__ = RowsLinear
        elif type(module) is nn.Conv2d and is_pointwise(module):
            module.__class__ = PointwiseConv
    return network.to(memory_format=torch.channels_last)


def is_pointwise(convolution: nn.Conv2d) -> bool:
    """Whether every output pixel is a product of its own input pixel and all channels."""
    sizes = (convolution.kernel_size, convolution.stride, convolution.dilation)
    return all(size == (1, 1) for size in sizes) and convolution.groups == 1 and not any(convolution.padding)
