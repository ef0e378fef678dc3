"""The dynamic potential head beyond its equations (tests/paper/test_equations.py): precision, odd boxes, memory."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.tiny import HEIGHT, WIDTH, S, T, potential_of, random_detections
from unipan.models.affinity import InstanceAffinity
from unipan.models.potential import DynamicPotential
from unipan.ops.boxes import inside
from unipan.structures import Detections

MIB = 2**20
ROOT = Path(__file__).resolve().parents[2]
ROWS, COLUMNS, COUNT = 64, 128, 400


def test_it_has_no_parameters() -> None:
    assert list(potential_of("B").state_dict()) == []


@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_bf16_comes_in_32_bit_goes_out(variant: str) -> None:
    found = random_detections(3)
    assert found.masks is not None
    rounded = Detections(found.boxes, found.scores, found.classes, found.masks.bfloat16())
    semantic = torch.randn(T + S, HEIGHT // 4, WIDTH // 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        psi = potential_of(variant)(semantic, rounded)
    assert psi.dtype == torch.float32
    torch.testing.assert_close(psi, potential_of(variant)(semantic.float(), rounded))


@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_empty_and_outlying_boxes_give_one_cell_and_no_nan(variant: str) -> None:
    boxes = torch.tensor([[5, 5, 5, 5], [-20, -20, -10, -10], [0, 0, WIDTH, HEIGHT], [94, 62, 96, 64]]).float()
    masks = torch.randn(4, 28, 28, requires_grad=True)
    found = Detections(boxes, torch.ones(4), torch.zeros(4, dtype=torch.long), masks)
    psi = potential_of(variant)(torch.randn(T + S, HEIGHT // 4, WIDTH // 4), found)
    psi.sum().backward()
    assert psi.isfinite().all()
    assert masks.grad is not None
    assert masks.grad.isfinite().all()
    assert [(channel != 0).sum() for channel in psi[:4]] == [1, 1, HEIGHT * WIDTH // 16, 1]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_void_is_what_the_boxes_hold_back(count: int) -> None:
    """UPSNet's void channel, pixel by pixel: the largest thing logit less the largest one that a box lets through."""
    found = random_detections(count, seed=count)
    h, w = HEIGHT // 4, WIDTH // 4
    v = torch.randn(T + S, h, w, generator=torch.Generator().manual_seed(9))
    plain, with_void = (
        potential_of("A")(v, found),
        potential_of("A", void_channel=True)(v, found),
    )
    assert torch.equal(with_void[:-1], plain)
    reach = inside(found.boxes, h, w, 4)
    for y in range(h):
        for x in range(w):
            highest = max(float(v[label, y, x]) for label in range(T))
            through = [float(v[found.classes[k], y, x]) if reach[k, y, x] else 0.0 for k in range(count)]
            assert float(with_void[-1, y, x]) == pytest.approx(highest - max(through, default=0.0))


def test_void_by_hand() -> None:
    """A thing that V sees with 5 and a stuff class of 1; a box over the left half."""
    v = torch.tensor([5.0, 1.0])[:, None, None].expand(2, 2, 4).contiguous()
    boxes = torch.tensor([[0.0, 0, 8, 8]])
    found = Detections(boxes, torch.ones(1), torch.zeros(1, dtype=torch.long), torch.zeros(1, 28, 28))
    psi = DynamicPotential(variant="A", num_things=1, stride=4, void_channel=True)(v, found)
    assert psi[:, 0].tolist() == [[5, 5, 0, 0], [1, 1, 1, 1], [0, 0, 5, 5]]
    assert psi.argmax(0)[1].tolist() == [0, 0, 2, 2]


def peak_of_process() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def memory_of_a_step(masks: bool) -> int:
    """Bytes that Psi and P of 400 detections and their gradients take at most."""
    semantic = torch.randn(T + S, ROWS, COLUMNS, requires_grad=True)
    found = random_detections(COUNT, masks)
    head = InstanceAffinity(extractor=torch.nn.Identity(), channels=128)
    queries = torch.randn(128, ROWS, COLUMNS, requires_grad=True)
    before = peak_of_process()
    head(potential_of("B")(semantic, found), queries).pow(2).sum().backward()
    return peak_of_process() - before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what a process had at most")
@pytest.mark.parametrize("masks", [True, False])
def test_400_detections_at_256_x_512_train_in_little_memory(masks: bool, announce: Callable[[str], None]) -> None:
    """In a process of its own: what the allocator keeps of other tests would be counted too."""
    code = f"import torch; from {__name__} import memory_of_a_step as m; torch.set_num_threads(1); print(m({masks}))"
    path = os.pathsep.join([str(ROOT), *sys.path])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    used = int(done.stdout)
    kind = "with" if masks else "without"
    announce(f"Psi and P of 400 detections {kind} masks at 256 x 512, d = 4, and back: {used / MIB:.0f} MiB")
    one = COUNT * ROWS * COLUMNS * 4  # Psi once: 12.5 MiB; the n x n matrix would take 256 MiB, twice in backward
    assert used < 20 * one  # the allocator rounds up; 250 is still below one n x n matrix
