"""The paper's numbers that need no data (facts.md 10): costs counted on our own code, and the tables' arithmetic."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unipan.models.affinity import InstanceAffinity
from unipan.models.semantic import PyramidDecoder

# Sec. 3.4.2's example: 800 x 1300 pixels at d = 4, C = 128, and D + N_st = 100 + 53 channels on COCO.
H, W, C, K = 800 // 4, 1300 // 4, 128, 153
N = H * W


def meta(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta")


def affinity(device: str) -> InstanceAffinity:
    with torch.device(device):
        return InstanceAffinity(nn.Identity(), C, "identity", "none")


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
        head.row(torch.zeros(C, H, W), 3, 5)
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
    """ "lightweight": the affinity feature extractor is not in the 5 G (facts.md 10: 44.0 G with two layers)."""
    for layers, billions in ((2, 44.0), (3, 99.0)):
        with torch.device("meta"):
            extractor = PyramidDecoder(256, C, layers, 128, deformable=False, groups=32, stride=4)
        levels = {f"p{i + 2}": meta(1, 256, 800 // 2 ** (i + 2), 1312 // 2 ** (i + 2)) for i in range(4)}
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            extractor(levels)
        # The plain form: offsets are left out, which facts.md counts (18 more outputs per 3 x 3 convolution).
        offsets = (
            {2: 18 * (256 + 128), 3: 18 * (256 + 256 + 128)}[layers]
            * 9
            * sum(f.shape[-1] * f.shape[-2] for f in levels.values())
        )
        assert (counter.get_total_flops() / 2 + offsets) / 1e9 == pytest.approx(billions, rel=0.12)


# ---- arithmetic of the tables (facts.md 11) --------------------------------------------------------------------

# Table 1, Cityscapes val: PQ, PQ of things, PQ of stuff, SQ, RQ.
TABLE_1 = {
    "A": (54.6, 46.0, 60.9, 77.9, 68.4),
    "B": (59.0, 50.2, 65.3, 80.1, 72.4),
    "C1": (59.3, 51.4, 65.0, 79.8, 73.2),
    "C2": (59.6, 52.4, 64.8, 80.4, 72.9),
    "D1": (60.6, 52.4, 66.5, 80.4, 74.2),
    "D2": (61.4, 54.7, 66.3, 81.1, 74.7),
}
# Tables 2 to 5: rows with all three PQs.
CITYSCAPES = [
    *(row[:3] for row in TABLE_1.values()),
    (53.8, 42.5, 62.1), (55.9, 50.5, 59.8), (56.4, 52.7, 59.0), (57.7, 51.6, 62.2), (59.3, 54.6, 62.7),
    (60.3, 56.1, 63.3), (61.0, 52.7, 67.1), (55.4, 44.0, 63.6), (58.9, 48.4, 66.5), (60.7, 53.4, 66.0),
    (63.3, 56.0, 68.5),
]  # fmt: skip
COCO = [
    (26.9, 29.3, 23.3), (39.0, 45.9, 28.7), (42.5, 48.6, 33.4), (43.4, 48.6, 35.5), (27.2, 29.6, 23.4),
    (36.9, 40.1, 32.0), (40.7, 47.0, 31.0), (43.6, 48.9, 35.6), (46.5, 55.9, 32.5), (46.6, 53.2, 36.7),
    (47.2, 53.5, 37.7),
]  # fmt: skip


def gains(after: str, before: str) -> list[float]:
    return [round(a - b, 1) for a, b in zip(TABLE_1[after], TABLE_1[before], strict=True)]


def test_what_each_part_brings() -> None:
    assert gains("B", "A")[:3] == [4.4, 4.2, 4.4]  # the affinity head, without masks
    assert gains("B", "A")[4] == 4.0
    assert gains("D2", "C2")[0] == 1.8  # the affinity head, with masks
    assert gains("D1", "C1")[0] == 1.3
    assert gains("D2", "D1")[0] == 0.8  # argmax of P instead of the merger
    assert round(61.4 - 59.3, 1) == 2.1  # over UPSNet on Cityscapes
    assert (round(43.4 - 42.5, 1), round(35.5 - 33.4, 1)) == (0.9, 2.1)  # and on COCO, all and stuff
    assert (round(61.4 - 60.3, 1), round(43.4 - 42.7, 1)) == (1.1, 0.7)  # Table F, variants B and C
    assert (round(59.0 - 58.6, 1), round(38.1 - 36.8, 1)) == (0.4, 1.3)  # Table H, predicted against true boxes


def test_plus_3_5_without_instance_segmentation_is_refuted_by_table_2() -> None:
    mask_free, li, deeperlab, ssap = 59.0, 53.8, 56.5, 58.4
    assert [round(mask_free - other, 1) for other in (li, deeperlab, ssap)] == [5.2, 2.5, 0.6]
    assert 3.5 not in [round(mask_free - other, 1) for other in (li, deeperlab, ssap)]


@pytest.mark.parametrize(("rows", "things", "stuff"), [(CITYSCAPES, 8, 11), (COCO, 80, 53)])
def test_pq_is_the_mean_over_classes(rows: list[tuple[float, float, float]], things: int, stuff: int) -> None:
    for whole, of_things, of_stuff in rows:
        assert (things * of_things + stuff * of_stuff) / (things + stuff) == pytest.approx(whole, abs=0.1)


def test_pq_is_sq_times_rq_per_class_alone() -> None:
    pq, *_, sq, rq = TABLE_1["D2"]
    assert sq * rq / 100 == pytest.approx(60.6, abs=0.05)
    assert abs(sq * rq / 100 - pq) > 0.5


def test_table_f_prints_the_stuff_sq() -> None:
    """81.8 is SQ of stuff; Tables 1, 2 and J say 81.1."""
    of_things, of_stuff = 80.0, 81.8
    assert (8 * of_things + 11 * of_stuff) / 19 == pytest.approx(TABLE_1["D2"][3], abs=0.1)


def test_trimming_small_stuff_is_worth_2_points_of_stuff() -> None:
    """Table I: untrimmed and trimmed PQ and RQ of stuff."""
    pq = [(59.9, 62.0), (60.5, 62.8), (64.2, 66.3)]
    rq = [(72.9, 75.5), (73.8, 76.3), (77.1, 79.4)]
    means = [sum(after - before for before, after in rows) / 3 for rows in (pq, rq)]
    assert means == pytest.approx([2.17, 2.47], abs=0.08)
    # "no post-processing": without the trimming the full model is at 60.2, not 61.4.
    untrimmed = (8 * 54.7 + 11 * 64.2) / 19
    assert untrimmed == pytest.approx(60.2, abs=0.05)


def test_counts_add_up() -> None:
    assert 4 * 8 == 32
    assert 11 + 8 == 19
    assert 53 + 80 == 133
    assert 2975 + 500 + 1525 == 5000
    epochs = 32 * 65_000 / 2975
    assert epochs == pytest.approx(699, abs=1)
