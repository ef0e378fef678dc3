"""Panoptic FPN's semantic head: its sizes, its sum against the naive form, the indices that its docstring promises."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.test_semantic import parameters, pyramid
from unipan.models.semantic_sum import SummingDecoder


def scrambled(stride: int = 4) -> SummingDecoder:
    torch.manual_seed(1)
    decoder = SummingDecoder(in_channels=8, out_channels=5, channels=12, groups=4, stride=stride)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return decoder.double()


def naive(state: dict[str, Tensor], features: dict[str, Tensor], groups: int) -> Tensor:
    """The figure, level by level, from named weights."""
    total = torch.zeros(())
    for level, stages in (("p2", 1), ("p3", 1), ("p4", 2), ("p5", 3)):
        x = features[level]
        for index in range(stages):
            stage = f"levels.{level}.{2 * index}"
            x = F.conv2d(x, state[f"{stage}.0.weight"], padding=1)
            x = F.group_norm(x, groups, state[f"{stage}.1.weight"], state[f"{stage}.1.bias"]).relu()
            if level != "p2":
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        total = total + x
    return F.conv2d(total, state["project.weight"], state["project.bias"])


def test_it_equals_the_naive_form() -> None:
    decoder, features = scrambled(), pyramid(8, (16, 24), torch.float64)
    found = decoder(features)
    assert found.shape == (2, 5, 16, 24)
    torch.testing.assert_close(found, naive(decoder.state_dict(), features, groups=4))


def test_parameters_of_the_papers_head() -> None:
    """Seven 3x3 convolutions, four of 256 channels and three of 128, a norm each, and 54 outputs."""
    with torch.device("meta"):
        decoder = SummingDecoder(in_channels=256, out_channels=54, channels=128, groups=32, stride=4)
    assert parameters(decoder.levels) == 4 * 9 * 256 * 128 + 3 * 9 * 128 * 128 + 7 * 2 * 128 == 1_623_808
    assert parameters(decoder.project) == 54 * 129


def test_the_stages_that_a_foreign_checkpoint_names() -> None:
    names = {name.rsplit(".", 2)[0] for name in scrambled().state_dict() if name.startswith("levels.")}
    assert names == {f"levels.{stage}" for stage in ("p2.0", "p3.0", "p4.0", "p4.2", "p5.0", "p5.2", "p5.4")}


@pytest.mark.parametrize("stride", [2, 1])
def test_a_finer_stride_is_the_map_upsampled(stride: int) -> None:
    features = pyramid(8, dtype=torch.float64)
    expected = F.interpolate(scrambled()(features), scale_factor=4 // stride, mode="bilinear", align_corners=False)
    torch.testing.assert_close(scrambled(stride)(features), expected)


def test_every_level_teaches_its_own_weights() -> None:
    decoder, features = scrambled(), pyramid(8, dtype=torch.float64)
    decoder(features).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in decoder.parameters())


def test_it_runs_under_autocast() -> None:
    decoder, features = SummingDecoder(in_channels=8, out_channels=5, channels=12, groups=4, stride=4), pyramid(8)
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder({key: value.bfloat16() for key, value in features.items()})
    torch.testing.assert_close(found.float(), decoder(features), atol=0.02, rtol=0.05)
