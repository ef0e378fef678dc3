"""The paper's numbers that need no data: what the affinity head costs, counted on our own code."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unipan.models.affinity import InstanceAffinity
from unipan.models.affinity_rows import affinity_rows
from unipan.models.semantic import PyramidDecoder

# Sec. 3.4.2's example: 800 x 1300 pixels at d = 4, C = 128, and D + N_st = 100 + 53 channels on COCO.
H, W, C, K = 800 // 4, 1300 // 4, 128, 153
N = H * W


def meta(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta")


def affinity(device: str) -> InstanceAffinity:
    with torch.device(device):
        return InstanceAffinity(extractor=nn.Identity(), channels=C, activation="relu", normalise="none")


def multiply_adds(explicit: bool) -> float:
    """Of one image; without phi0 and phi1, which both ways need."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if explicit:  # on no device: the matrix would not fit this machine
            q0, q1 = affinity("meta").project(meta(C, H, W))
            meta(K, N) @ (q0.T @ q1).T
        else:  # our own code, for real
            affinity("cpu")(torch.zeros(K, H, W), torch.zeros(C, H, W))
    return counter.get_total_flops() / 2 - 2 * N * C * C


def test_the_explicit_matrix_takes_15_7_gigabytes() -> None:
    """ "computing and storing A ... 15.7 GB": right in units of 2^30."""
    q0, q1 = affinity("meta").project(meta(C, H, W))
    matrix = q0.T @ q1
    assert matrix.shape == (N, N) == (65_000, 65_000)
    assert matrix.numel() * matrix.element_size() / 2**30 == pytest.approx(15.7, abs=0.05)


def test_the_associative_form_keeps_tens_of_kilobytes() -> None:
    _, q1 = affinity("meta").project(meta(C, H, W))
    context = q1 @ meta(K, H, W).flatten(1).T
    assert context.numel() * context.element_size() == 78_336
    assert 10 < 78_336 / 1024 < 100


def test_our_head_never_makes_anything_of_size_n_by_n() -> None:
    largest = 0

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), keywords=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204
            nonlocal largest
            found = function(*arguments, **(keywords or {}))
            if isinstance(found, Tensor):
                largest = max(largest, found.numel())
            return found

    head = affinity("cpu")
    with Watch(), torch.no_grad():
        head(torch.zeros(K, H, W), torch.zeros(C, H, W))
        affinity_rows(head, torch.zeros(C, H, W), (H, W), torch.tensor([[3, 5]]))
    assert largest == K * N


def test_multiply_adds_sink_by_99_8_percent_to_5_billion_operations() -> None:
    """The 5 G are operations, two per multiply-add; the backbone's 140 G in the same sentence are multiply-adds."""
    naive, efficient = multiply_adds(explicit=True), multiply_adds(explicit=False)
    assert naive == N * N * (C + K)
    assert efficient == 2 * N * C * K
    assert 1 - efficient / naive == pytest.approx(0.998, abs=0.0005)
    assert 2 * efficient == pytest.approx(5e9, rel=0.03)
    # Like for like the applier is 1.8 % of the backbone's multiply-adds, not the 3.6 % that 5 : 140 suggests.
    assert efficient / 139.4e9 == pytest.approx(0.018, abs=0.001)


def test_only_the_applier_is_that_cheap() -> None:
    """ "lightweight": the affinity feature extractor is not in the 5 G (44.0 G with two layers)."""
    for layers, billions in ((2, 44.0), (3, 99.0)):
        with torch.device("meta"):
            extractor = PyramidDecoder(
                in_channels=256, out_channels=C, layers=layers, channels=128, deformable=False, groups=32, stride=4
            )
        levels = {f"p{i + 2}": meta(1, 256, 800 // 2 ** (i + 2), 1312 // 2 ** (i + 2)) for i in range(4)}
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            extractor(levels)
        # The plain form: offsets are left out, which the 44.0 G include (18 more outputs per 3 x 3 convolution).
        offsets = (
            {2: 18 * (256 + 128), 3: 18 * (256 + 256 + 128)}[layers]
            * 9
            * sum(f.shape[-1] * f.shape[-2] for f in levels.values())
        )
        assert (counter.get_total_flops() / 2 + offsets) / 1e9 == pytest.approx(billions, rel=0.12)
