"""The logits of each box's class against torchvision's predictor, which makes those of all classes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from unipan.ops.mask_logits import class_mask_logits

CHANNELS, WIDTH = 5, 3


def predictor(classes: int = 4, dtype: torch.dtype = torch.float64) -> MaskRCNNPredictor:
    torch.manual_seed(0)
    made = MaskRCNNPredictor(CHANNELS, WIDTH, classes)
    for parameter in made.parameters():  # biases of torchvision start at zero
        torch.nn.init.normal_(parameter)
    return made.to(dtype)


def boxes(count: int, classes: int = 4, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Features of boxes of 6 x 4 cells, and their classes."""
    g = torch.Generator().manual_seed(1)
    features = torch.randn(count, CHANNELS, 6, 4, generator=g).to(dtype).requires_grad_()
    return features, torch.randint(classes, (count,), generator=g)


def chosen(module: MaskRCNNPredictor, features: Tensor, classes: Tensor, plain: bool | None = None) -> Tensor:
    up, last = module.conv5_mask, module.mask_fcn_logits
    return class_mask_logits(features, classes, up.weight, up.bias, last.weight, last.bias, plain=plain)


def oracle(module: MaskRCNNPredictor, features: Tensor, classes: Tensor) -> Tensor:
    every: Tensor = module(features)
    return every[torch.arange(len(classes)), classes]


def assert_same(module: MaskRCNNPredictor, features: Tensor, classes: Tensor) -> None:
    """Values, and the gradients of the features and of the four parameters."""
    found, expected = chosen(module, features, classes), oracle(module, features, classes)
    torch.testing.assert_close(found, expected)
    outer, inputs = torch.randn_like(expected), [features, *module.parameters()]
    ours, theirs = (torch.autograd.grad(each, inputs, outer) for each in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 7), classes=st.integers(1, 5), channels_last=st.booleans())
def test_values_and_gradients_are_torchvisions(count: int, classes: int, channels_last: bool) -> None:
    features, labels = boxes(count, classes)
    if channels_last:
        features = features.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    assert_same(predictor(classes), features, labels)


def test_in_32_bits_it_is_as_exact_as_what_it_stands_for() -> None:
    features, labels = boxes(50)
    outer = torch.randn(50, 12, 8, dtype=torch.float64)
    errors = []
    inputs = [features, *(exact := predictor()).parameters()]
    wanted = torch.autograd.grad(oracle(exact, features, labels), inputs, outer)
    for function in (chosen, oracle):
        module, single = predictor(dtype=torch.float32), features.detach().float().requires_grad_()
        found = torch.autograd.grad(function(module, single, labels), [single, *module.parameters()], outer.float())
        errors.append([float((one - other).norm() / other.norm()) for one, other in zip(found, wanted, strict=True)])
    assert all(ours < max(3 * theirs, 1e-6) for ours, theirs in zip(*errors, strict=True))


def test_gradients_are_those_of_differences() -> None:
    features, labels = boxes(3)
    module = predictor()
    up, last = module.conv5_mask, module.mask_fcn_logits
    inputs = (features, up.weight, up.bias, last.weight, last.bias)
    assert torch.autograd.gradcheck(lambda x, *rest: class_mask_logits(x, labels, *rest, plain=False), inputs)


def test_no_box_gives_every_parameter_a_gradient_of_zero() -> None:
    module = predictor()
    features, labels = boxes(0)
    found = chosen(module, features, labels)
    assert found.shape == (0, 12, 8)
    found.sum().backward()
    assert features.grad is not None
    assert all(each.grad is not None and not each.grad.any() for each in module.parameters())


@pytest.mark.parametrize("plain", [True, False])
def test_under_autocast_the_type_is_that_of_torchvisions(plain: bool) -> None:
    module = predictor(dtype=torch.float32)
    features, labels = boxes(50, dtype=torch.float32)
    exact = oracle(module, features, labels)
    outer, inputs = torch.randn_like(exact), [features, *module.parameters()]
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = chosen(module, features, labels, plain), oracle(module, features, labels)
    assert found.dtype == expected.dtype == torch.bfloat16
    assert found.is_contiguous()
    wanted = [exact.detach(), *torch.autograd.grad(exact, inputs, outer)]
    # Of some cells the ReLU decides otherwise than in 32 bits, so that gradients are off by percents in both.
    ours, theirs = ([each.detach(), *torch.autograd.grad(each, inputs, outer.bfloat16())] for each in (found, expected))
    assert all(each.dtype == torch.float32 for each in ours[1:])
    for one, other, right in zip(ours, theirs, wanted, strict=True):
        assert float((one - right).norm()) < 1.2 * float((other - right).norm()) + 1e-3 * float(right.norm())


def test_what_is_frozen_gets_no_gradient() -> None:
    features, labels = boxes(3)
    inputs = ["features", *dict(predictor().named_parameters())]
    for learned in inputs:
        module, leaf = predictor(), features.detach().clone()
        leaves = {"features": leaf, **dict(module.named_parameters())}
        for name, each in leaves.items():
            each.requires_grad_(name == learned)
        chosen(module, leaf, labels).sum().backward()
        assert [name for name, each in leaves.items() if each.grad is not None] == [learned]


def test_nothing_but_the_features_and_weights_is_kept() -> None:
    """Neither the cells after the transposed convolution nor the maps of other classes."""
    module = predictor(classes=80)
    features, labels = boxes(50, classes=80)
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        alive = chosen(module, features, labels)
    weights = sum(each.nbytes for each in module.parameters())
    rows = 50 * WIDTH * 8  # of each box's class, in its 64 bits
    assert sum(kept.values()) <= features.nbytes + weights + rows + labels.nbytes
    del alive


def test_without_a_gradient_nothing_is_kept() -> None:
    with torch.no_grad():
        assert chosen(predictor(), *boxes(3)).grad_fn is None


def test_inputs_are_left_as_they_are() -> None:
    module, (features, labels) = predictor(), boxes(3)
    before = [each.detach().clone() for each in (features, *module.parameters())]
    outer = torch.ones(3, 12, 8, dtype=torch.float64)
    chosen(module, features, labels).backward(outer)
    assert outer.eq(1).all()
    assert all(one.equal(other) for one, other in zip(before, (features, *module.parameters()), strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_maps_of_all_classes_are_made() -> None:
    features, labels = (each.cuda() for each in boxes(3))
    module = predictor().cuda()
    up, last = module.conv5_mask, module.mask_fcn_logits
    found = class_mask_logits(features, labels, up.weight, up.bias, last.weight, last.bias)
    torch.testing.assert_close(found, module(features)[torch.arange(3), labels])
