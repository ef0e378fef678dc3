"""The feature decoder: its exact sizes, its shortcut against the naive form, deformable against plain layers."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unipan.models import semantic
from unipan.models.semantic import DeformableConv, PyramidDecoder
from unipan.ops import deformable as deformable_ops


def pyramid(
    channels: int = 8, size: tuple[int, int] = (16, 24), dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sides = [(-(-size[0] // 2**level), -(-size[1] // 2**level)) for level in range(5)]
    return {
        f"p{level + 2}": torch.randn(2, channels, *side, generator=generator, dtype=dtype)
        for level, side in enumerate(sides)
    }


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def scramble(decoder: PyramidDecoder) -> PyramidDecoder:
    """Weights that leave nothing at its initial zero."""
    torch.manual_seed(1)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.1)
    return decoder


def naive(decoder: PyramidDecoder, features: dict[str, Tensor]) -> Tensor:
    """The design as written: upsample every level to P2's size, concatenate, 1x1 convolution."""
    decoded = [decoder.layers(features[level]) for level in ("p2", "p3", "p4", "p5")]
    size = decoded[0].shape[-2:]
    upsampled = [F.interpolate(x, size, mode="bilinear", align_corners=False) for x in decoded]
    result: Tensor = decoder.project(torch.cat(upsampled, dim=1))
    return result


@pytest.mark.parametrize(("layers", "expected"), [(2, 505_380), (3, 1_137_462)])
def test_parameters_of_the_papers_decoder(layers: int, expected: int) -> None:
    with torch.device("meta"):
        decoder = PyramidDecoder(
            in_channels=256, out_channels=128, layers=layers, channels=128, deformable=True, groups=32, stride=4
        )
    assert parameters(decoder.layers) == expected
    assert parameters(decoder.project) == 65_664


@pytest.mark.parametrize("size", [(16, 24), (13, 19)])
@pytest.mark.parametrize("deformable", [True, False])
def test_projecting_before_upsampling_equals_concatenation(size: tuple[int, int], deformable: bool) -> None:
    decoder = scramble(
        PyramidDecoder(
            in_channels=8, out_channels=5, layers=3, channels=12, deformable=deformable, groups=4, stride=4
        ).double()
    )
    features = pyramid(8, size, torch.float64)
    found = decoder(features)
    assert found.shape == (2, 5, *size)
    torch.testing.assert_close(found, naive(decoder, features))


def test_gradients_equal_those_of_concatenation() -> None:
    decoder = scramble(
        PyramidDecoder(
            in_channels=8, out_channels=5, layers=2, channels=12, deformable=True, groups=4, stride=4
        ).double()
    )
    features = pyramid(8, dtype=torch.float64)
    weights = list(decoder.parameters())
    found = torch.autograd.grad(decoder(features).square().sum(), weights)
    expected = torch.autograd.grad(naive(decoder, features).square().sum(), weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_fresh_deformable_layer_is_a_plain_convolution() -> None:
    layer = DeformableConv(in_channels=8, out_channels=6)
    features = pyramid(8)["p2"]
    plain = F.conv2d(features, layer.conv.weight, layer.conv.bias, padding=1)
    torch.testing.assert_close(layer(features), plain, rtol=1e-4, atol=1e-5)


def test_offsets_move_the_samples() -> None:
    layer = DeformableConv(in_channels=8, out_channels=6)
    features = pyramid(8)["p2"]
    with torch.no_grad():
        layer.offset.bias[1::2] = 1.0  # v1 orders offsets y, x: every sample one cell to the right
    shifted = F.conv2d(features.roll(-1, 3), layer.conv.weight, layer.conv.bias, padding=1)
    torch.testing.assert_close(layer(features)[:, :, 2:-2, 2:-2], shifted[:, :, 2:-2, 2:-2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("autocast", [True, False])
def test_a_deformable_layer_is_torchvisions(monkeypatch: pytest.MonkeyPatch, autocast: bool) -> None:
    """Both forms of the layer, which a GPU and an exporter choose otherwise, give the same."""
    layer = DeformableConv(in_channels=8, out_channels=6)
    nn.init.normal_(layer.offset.weight, std=0.2)
    features = pyramid(8)["p2"]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = layer(features)
        monkeypatch.setattr(semantic, "samples_by_rows", lambda _: False)
        monkeypatch.setattr(deformable_ops, "samples_by_rows", lambda _: False)
        expected = layer(features)
    assert expected.dtype == torch.float32
    assert (found.float() - expected).norm() / expected.norm() < (0.01 if autocast else 1e-6)


@pytest.mark.parametrize("deformable", [True, False])
def test_it_runs_and_learns_under_autocast(deformable: bool) -> None:
    decoder = PyramidDecoder(
        in_channels=8, out_channels=5, layers=2, channels=12, deformable=deformable, groups=4, stride=4
    )
    features = pyramid(8)
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder({key: value.bfloat16() for key, value in features.items()})
    torch.testing.assert_close(found.float(), decoder(features), atol=0.02, rtol=0.05)
    found.float().square().sum().backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


def test_initialisation() -> None:
    decoder = PyramidDecoder(
        in_channels=64, out_channels=32, layers=2, channels=64, deformable=True, groups=32, stride=4
    )
    layer = decoder.layers[0][0]
    assert layer.offset.weight.eq(0).all()
    assert layer.conv.bias.eq(0).all()
    assert layer.conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert decoder.project.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert decoder.project.bias.eq(0).all()


def test_p6_is_not_needed_and_not_used() -> None:
    decoder = PyramidDecoder(in_channels=8, out_channels=5, layers=2, channels=12, deformable=False, groups=4, stride=4)
    features = pyramid(8)
    without = {key: value for key, value in features.items() if key != "p6"}
    assert torch.equal(decoder(features), decoder(without))


@pytest.mark.parametrize("stride", [2, 1])
def test_a_finer_stride_is_the_map_upsampled(stride: int) -> None:
    decoder = scramble(
        PyramidDecoder(in_channels=8, out_channels=5, layers=2, channels=12, deformable=False, groups=4, stride=4)
    )
    features = pyramid(8)
    coarse = decoder(features)
    decoder.stride = stride
    expected = F.interpolate(coarse, scale_factor=4 // stride, mode="bilinear", align_corners=False)
    torch.testing.assert_close(decoder(features), expected)
