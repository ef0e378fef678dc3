"""The affinity head beyond its equations (tests/paper/test_equations.py): precision, names, cost."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny import image_batch, tiny_network
from unipan.models.affinity import ACTIVATIONS, CELLS_AT_ONCE, InstanceAffinity
from unipan.models.affinity_rows import affinity_rows, mean_of_phi0


def head_of(c: int = 8) -> InstanceAffinity:
    torch.manual_seed(0)
    return InstanceAffinity(extractor=nn.Identity(), channels=c)


def test_autocast_does_not_round_p() -> None:
    head, psi, q = head_of(), torch.rand(5, 16, 24), torch.randn(8, 16, 24)
    exact = head(psi, q)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(psi, q), exact)
        assert head(psi, q.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalise": "none"},
        {"activation": "gelu", "normalise": "pixels"},
        {"rope": 1, "channels": 16},
        {"positional_encoding": 2, "activation": "elu"},
        {"normalise": "softmax"},
        {"upsampling": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("at_once", [1, 7, 96])
def test_pieces_give_the_same_p(options: dict[str, Any], at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head = InstanceAffinity(extractor=nn.Identity(), **{"channels": 8, **options}).double()
    q = torch.randn(head.phi0.out_channels, 8, 12, dtype=torch.float64)
    psi = torch.rand(3, 8 * head.upsampling, 12 * head.upsampling, dtype=torch.float64)
    wanted = head(psi, q).detach()
    monkeypatch.setattr("unipan.models.affinity.CELLS_AT_ONCE", at_once)
    with torch.no_grad():
        torch.testing.assert_close(head(psi, q), wanted, rtol=1e-12, atol=1e-12)
    assert torch.equal(head(psi, q), wanted)  # with gradients in one piece


@torch.inference_mode()
def test_large_pictures_do_not_hold_phi_of_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setitem(ACTIVATIONS, "elu", lambda x: sizes.append(x.shape[1]) or F.elu(x))
    head = InstanceAffinity(extractor=nn.Identity(), channels=4, activation="elu")
    head(torch.rand(2, 256, 512), torch.randn(4, 256, 512))
    assert sum(sizes) == 2 * 256 * 512
    assert max(sizes) == CELLS_AT_ONCE


def test_the_defaults_are_the_papers_width_and_our_reading() -> None:
    head = InstanceAffinity(extractor=nn.Identity())
    assert head.phi0.weight.shape == head.phi1.weight.shape == (128, 128, 1, 1)
    assert (head.activation, head.normalise) == ("identity", "segment")


def test_a_small_things_mean_counts_as_much_as_a_large_ones() -> None:
    """normalise=segment: the message to a pixel hardly depends on how many pixels a segment has."""
    head = head_of()
    q = torch.randn(8, 1, 1).expand(8, 20, 20).contiguous()  # all pixels alike
    psi = torch.zeros(2, 20, 20)
    psi[0, :5], psi[1] = 1, 1
    message = (head(psi, q) - psi)[:, 19, 19].detach()
    assert message[0] == pytest.approx(float(message[1]), rel=0.02)


def test_row_costs_one_product_and_no_matrix() -> None:
    """Without an activation not even phi1(Q): only what RoPE rotates is made for all cells."""
    n, near = 16 * 24, 9 * 8 * 8 + 8 + 8 * 8
    for options, once in (({}, 0), ({"rope": 1, "channels": 16}, 2), ({"activation": "elu"}, 1)):
        torch.manual_seed(0)
        head = InstanceAffinity(extractor=nn.Identity(), **{"channels": 8, **options})
        width = len(head.phi1.weight)
        with FlopCounterMode(display=False) as counter:
            affinity_rows(head, torch.randn(width, 16, 24), (16, 24), torch.tensor([[3, 4]]))
        made = {0: 0, 1: 8 * 8, 2: 8 * 16 + 8}[once]
        assert counter.get_total_flops() <= 2 * (n * (width + made) + 4 * near)


@pytest.mark.parametrize("k", [2, 20, 200])
def test_the_cost_is_linear_in_the_channels_and_the_pixels(k: int) -> None:
    """Q^T Psi and back for each of n pixels; the weights meet the C x K sums alone, unless there is an activation."""
    for activation, each, once in (("identity", 2 * k, 8 * (2 * 8 * k + k)), ("elu", 2 * 8 + 2 * k, 0)):
        torch.manual_seed(0)
        head = InstanceAffinity(extractor=nn.Identity(), channels=8, activation=activation)
        for h, w in ((8, 8), (16, 24)):
            with FlopCounterMode(display=False) as counter:
                head(torch.rand(k, h, w), torch.randn(8, h, w))
            assert counter.get_total_flops() == 2 * (h * w * 8 * each + once)


def upsampled(cells: Tensor, factor: int, h: int, w: int) -> Tensor:
    if factor > 1:
        cells = F.interpolate(cells[None], scale_factor=factor, mode="bilinear", align_corners=False)[0]
    return cells[:, :h, :w]


def as_written(head: InstanceAffinity, psi: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """P and the affinities of all pairs of cells (n, n), from phi0(Q) and phi1(Q) upsampled to Psi's grid."""
    h, w = psi.shape[1:]
    q0, q1 = (upsampled(phi.view(-1, *q.shape[1:]), head.upsampling, h, w).flatten(1) for phi in head.project(q))
    matrix, flat = q0.T @ q1, psi.flatten(1)
    divisor = {"none": 1, "pixels": h * w, "segment": flat.abs().sum(1, keepdim=True) + 1, "softmax": 1}
    return psi + (flat @ matrix.T / divisor[head.normalise]).view(psi.shape), matrix


OPTIONS = [
    {"normalise": "none"},
    {"normalise": "pixels"},
    {"normalise": "segment"},
    {"positional_encoding": 2},
    {"activation": "elu", "positional_encoding": 1},
    {"activation": "relu", "normalise": "none"},
    {"activation": "softmax", "normalise": "softmax"},
    {"rope": 1},
    {"rope": 1, "activation": "elu", "normalise": "pixels"},
]


@pytest.mark.parametrize("upsampling", [1, 2, 4])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options.values())))
def test_p_is_psi_and_the_matrix_times_psi_at_every_stride(upsampling: int, options: dict[str, Any]) -> None:
    """P, its gradients and the rows of the matrix equal the explicit form, also where the image ends in padding."""
    torch.manual_seed(0)
    head = InstanceAffinity(extractor=nn.Identity(), channels=8, upsampling=upsampling, **options).double()
    q = torch.randn(8, 5, 7, dtype=torch.float64, requires_grad=True)
    for h, w in ((5 * upsampling, 7 * upsampling), (5 * upsampling - 1, 4 * upsampling + 1), (1, 3)):
        psi = torch.randn(4, h, w, dtype=torch.float64, requires_grad=True)
        inputs = [psi, q, *head.parameters()]
        met = head.covered(q, h, w)  # a softmax over the pixels is over these
        wanted, matrix = as_written(head, psi, met)
        p = head(psi, q)
        torch.testing.assert_close(p, wanted, rtol=1e-9, atol=1e-10)
        for found, expected in zip(*(torch.autograd.grad((x**3).sum(), inputs) for x in (p, wanted)), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        rows = affinity_rows(head, q, (h, w), torch.cartesian_prod(torch.arange(h), torch.arange(w))).flatten(1)
        torch.testing.assert_close(rows, matrix, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_only_cells_that_count_are_taken_from_q(factor: int) -> None:
    """A cell of Q counts if some cell of Psi's grid is interpolated from it."""
    head = InstanceAffinity(extractor=nn.Identity(), channels=8, upsampling=factor)
    for count in range(1, 5 * factor + 1):
        used = (upsampled(torch.eye(5)[:, :, None], factor, count, 1) > 0).any(1)[:, 0].sum()
        assert head.covered(torch.zeros(8, 5, 7), count, 7 * factor).shape == (8, used, 7)


@pytest.mark.parametrize("upsampling", [1, 2])
@pytest.mark.parametrize(
    "options", [{}, {"rope": 1}, {"positional_encoding": 2}, {"rope": 1, "activation": "relu"}], ids=str
)
def test_centred_affinities_have_no_mean(upsampling: int, options: dict[str, Any]) -> None:
    """Over all pairs of Q's cells: what is left says how much more than others two cells belong together."""
    torch.manual_seed(0)
    head = InstanceAffinity(extractor=nn.Identity(), channels=12, upsampling=upsampling, **options).double()
    q = torch.randn(12, 4, 6, dtype=torch.float64)
    q0, q1 = (phi - phi.mean(1, keepdim=True) for phi in head.project(q))
    h, w = 4 * upsampling, 6 * upsampling
    up = [upsampled(phi.view(-1, 4, 6), upsampling, h, w).flatten(1) for phi in (q0, q1)]
    cells = torch.cartesian_prod(torch.arange(h), torch.arange(w))
    found = affinity_rows(head, q, (h, w), cells, mean_of_phi0(head, q, (h, w))).flatten(1)
    torch.testing.assert_close(found, up[0].T @ up[1])
    torch.testing.assert_close((q0.T @ q1).mean(0), torch.zeros(24, dtype=torch.float64))
    torch.testing.assert_close((q0.T @ q1).mean(1), torch.zeros(24, dtype=torch.float64))


def test_q_has_its_own_decoder() -> None:
    network = tiny_network()
    assert network.affinity is not None
    features = network.backbone(image_batch(2).pixels)
    assert network.affinity.extract(features).shape == (2, 8, 16, 24)
    own = {id(p) for p in network.affinity.parameters()}
    assert own.isdisjoint(id(p) for p in network.semantic.parameters())


def head_with(positional_encoding: int = 0, rope: int = 0) -> InstanceAffinity:
    torch.manual_seed(0)
    return InstanceAffinity(extractor=nn.Identity(), channels=8, positional_encoding=positional_encoding, rope=rope)


def test_without_a_code_of_place_what_looks_alike_attracts_alike() -> None:
    """Two cells with one Q: the paper's head cannot tell them apart, ours with `places` or `rotary` can."""
    q = torch.randn(8, 12, 20)
    q[:, 2, 3] = q[:, 9, 15]
    for head, apart in ((head_with(), False), (head_with(positional_encoding=3), True), (head_with(rope=1), True)):
        found = affinity_rows(head, q, (12, 20), torch.tensor([[5, 5]]))[0].detach()
        assert (abs(float(found[2, 3] - found[9, 15])) > 1e-3) is apart


@pytest.mark.parametrize("code", [{"positional_encoding": 3}, {"rope": 1}])
def test_with_a_code_of_place_p_is_still_the_matrix_times_psi(code: dict[str, int]) -> None:
    head, psi, q = head_with(**code), torch.rand(4, 6, 10), torch.randn(8, 6, 10)
    rows = affinity_rows(head, q, (6, 10), torch.cartesian_prod(torch.arange(6), torch.arange(10))).flatten(1)
    flat = psi.flatten(1)
    mass = flat.sum(1) + 1  # normalise=segment
    wanted = flat + (rows @ (flat / mass[:, None]).T).T
    assert torch.allclose(head(psi, q).flatten(1), wanted, atol=1e-5)


def test_a_rotary_code_counts_from_no_corner() -> None:
    """The same content and the same box elsewhere: P moves along. With a code by `places` it does not."""
    q, psi = torch.randn(8, 1, 1).expand(8, 40, 40).clone(), torch.zeros(1, 40, 40)
    q[:, 5:9, 6:12], psi[:, 5:9, 6:12] = torch.randn(8, 4, 6), 1.0
    q2, psi2 = q.roll((17, 20), (1, 2)), psi.roll((17, 20), (1, 2))
    for head, same in ((head_with(rope=1), True), (head_with(positional_encoding=2), False)):
        found, moved = head(psi, q)[:, :14, :14], head(psi2, q2)[:, 17:31, 20:34]
        assert torch.allclose(found, moved, atol=1e-4) is same


@pytest.mark.parametrize("code", [{"positional_encoding": 2}, {"rope": 1}])
def test_twice_the_wavelength_is_twice_the_distance(code: dict[str, int]) -> None:
    """Where Q is the same everywhere, an affinity shows the encoding alone."""
    q, rows = torch.randn(8, 1, 1), []
    for shortest, scale in ((8.0, 1), (16.0, 2)):
        torch.manual_seed(0)
        head = InstanceAffinity(extractor=nn.Identity(), channels=8, shortest_wavelength=shortest, **code)
        size = 6 * scale, 10 * scale
        rows.append(affinity_rows(head, q.expand(8, *size), size, torch.tensor([[0, 0]]))[0, ::scale, ::scale])
    torch.testing.assert_close(*rows, rtol=1e-4, atol=1e-4)
    assert rows[0].std() > 0.01


def test_a_rotary_code_needs_room() -> None:
    with pytest.raises(ValueError, match=r"rotate 16 channels, but there are 8; make affinity\.rope at most 1"):
        head_with(rope=2)
