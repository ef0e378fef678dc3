"""Padding of timm's layers at a fixed size is their padding at the sizes that networks see here."""

from typing import Any

import pytest
import timm.layers
import torch
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from torch import Tensor, nn

from unipan.export.same_padding import padded_by_whole_strides

layers: Any = timm.layers


@pytest.mark.parametrize("size", [(32, 64), (96, 160)])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_sides_of_whole_strides_are_padded_alike(kernel: int, stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    pixels = torch.randn(1, 3, *size)
    for layer in (
        layers.Conv2dSame(3, 4, kernel, stride),
        layers.Conv2dSame(3, 4, kernel, stride, dilation=2),
        layers.StdConv2dSame(3, 4, kernel, stride),
        MaxPool2dSame(kernel, stride),
        AvgPool2dSame(kernel, stride),
    ):
        expected = layer(pixels)
        with padded_by_whole_strides():
            assert torch.equal(layer(pixels), expected)


def test_afterwards_timm_is_as_it_was() -> None:
    layer, odd = layers.Conv2dSame(3, 4, 3, 2), torch.randn(1, 3, 33, 35)
    expected = layer(odd)
    with pytest.raises(KeyError), padded_by_whole_strides():
        raise KeyError
    assert torch.equal(layer(odd), expected)


class Many(nn.Module):
    """Five halvings, as a backbone has them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layers.Conv2dSame(3, 3, 3, stride) for stride in (2, 1, 2, 1, 2, 1, 2, 1, 2)))

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.layers(pixels)
        return found


def test_what_is_exported_pads_by_numbers() -> None:
    rows = torch.export.Dim("rows", min=1, max=2**16)
    with padded_by_whole_strides():
        made = torch.export.export(Many(), (torch.rand(1, 3, 96, 160),), dynamic_shapes=[{2: 32 * rows}], strict=False)
    pads = [node.args[1] for node in made.graph.nodes if "pad" in str(node.target)]
    assert pads == [[0, 1, 0, 1], [1, 1, 1, 1]] * 4 + [[0, 1, 0, 1]]
