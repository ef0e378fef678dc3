"""Sec. 3.1 at inference: batch norm folded into the convolution before it, which leaves the function as it is."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from unipan.models.backbone import ResNet


@torch.no_grad()
def fold_batch_norm(network: nn.Module) -> int:
    """Multiply the statistics of every batch norm of our ResNets into their convolutions, in place.

    Backbones of timm keep theirs: which convolution a norm follows cannot be read from their modules.

    Args:
        network: in evaluation mode; it can no longer be trained or saved as a checkpoint.

    Returns:
        how many norms are gone.

    Raises:
        ValueError: the network is in training mode, where a norm depends on the batch.
    """
    if network.training:
        raise ValueError("fold_batch_norm: the network is in training mode; call eval() first")
    count = 0
    for module in network.modules():
        if isinstance(module, ResNet | BasicBlock | Bottleneck):
            pairs = [(f"conv{number}", f"bn{number}") for number in (1, 2, 3) if hasattr(module, f"bn{number}")]
            count += sum(_fold(module, *pair) for pair in pairs)
            if isinstance(downsample := getattr(module, "downsample", None), nn.Sequential):
                count += _fold(downsample, "0", "1")
    return count


def _fold(parent: nn.Module, convolution: str, norm: str) -> bool:
    """One pair of children; False if it was folded before."""
    conv, module = parent.get_submodule(convolution), parent.get_submodule(norm)
    if not isinstance(conv, nn.Conv2d) or not isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
        return False
    bn: Any = module  # statistics may be None in the types of torch alone
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    conv.weight, conv.bias = (nn.Parameter(each.detach(), requires_grad=False) for each in (weight, bias))
    setattr(parent, norm, nn.Identity())
    return True
