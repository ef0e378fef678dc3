"""The order of training images: a function of the seed and the position alone."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import CATEGORIES, Drawn
from unipan.config import DataConfig
from unipan.datasets.loading import TrainingStream, rank_positions, training_loader
from unipan.datasets.transforms import TrainingTransform

DATA = DataConfig(short_side=0, scale=(0.8, 1.2), crop=(48, 64), color=1.0)


def stream(images: int = 5, seed: int = 0, data: DataConfig = DATA) -> TrainingStream:
    return TrainingStream(Drawn([2] * images), TrainingTransform(data, CATEGORIES), seed)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 20), st.integers(0, 10), st.integers(1, 4), st.integers(1, 4))
def test_ranks_split_every_global_batch(start: int, length: int, world: int, share: int) -> None:
    batch = world * share
    parts = [list(rank_positions(start, start + length, batch, rank, world)) for rank in range(world)]
    assert all(len(part) == length * share for part in parts)
    together = [p for step in range(length) for part in parts for p in part[step * share : (step + 1) * share]]
    assert together == list(range(start * batch, (start + length) * batch))


def test_every_epoch_is_its_own_permutation() -> None:
    names = [stream()[position][1] for position in range(15)]
    epochs = [names[:5], names[5:10], names[10:]]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert len(set(epochs[0])) == 5
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert [stream(seed=1)[position][1] for position in range(15)] != names


def test_a_position_is_the_same_sample_whatever_came_before() -> None:
    one, other = stream(), stream()
    torch.manual_seed(123)
    for position in (13, 2, 7):
        other[position]
    state = torch.get_rng_state()
    image, name, target = other[3]
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone
    again = one[3]
    assert torch.equal(again[0], image)
    assert again[1] == name
    assert torch.equal(again[2].instances, target.instances)
    assert not torch.equal(one[3 + 5 * 4][0], image)  # another epoch, another augmentation


def test_one_process_and_two_see_the_same_images() -> None:
    alone = list(training_loader(stream(), rank_positions(2, 5, 4, 0, 1), 4, 0))
    pairs = [list(training_loader(stream(), rank_positions(2, 5, 4, rank, 2), 2, 0)) for rank in range(2)]
    for step, (images, targets) in enumerate(alone):
        names = [name for part in pairs for name in part[step][0].names]
        assert names == images.names
        boxes = [t.boxes for part in pairs for t in part[step][1]]
        assert all(torch.equal(a, b.boxes) for a, b in zip(boxes, targets, strict=True))


def test_accumulation_cuts_the_same_batch() -> None:
    whole = [b.names for b, _ in training_loader(stream(), rank_positions(0, 2, 4, 0, 1), 4, 0)]
    parts = [b.names for b, _ in training_loader(stream(), rank_positions(0, 2, 4, 0, 1), 2, 0)]
    assert [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)] == whole


def test_worker_processes_change_nothing() -> None:
    alone = list(training_loader(stream(), rank_positions(0, 3, 2, 0, 1), 2, 0))
    helped = list(training_loader(stream(), rank_positions(0, 3, 2, 0, 1), 2, 2))
    for (a, wanted_a), (b, wanted_b) in zip(alone, helped, strict=True):
        assert a.names == b.names
        assert torch.equal(a.pixels, b.pixels)
        assert all(torch.equal(x.instances, y.instances) for x, y in zip(wanted_a, wanted_b, strict=True))


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        stream(images=0)


WORKER = """
import os, sys, time
from unipan.datasets.loading import begin_worker
from multiprocessing import Pipe
mine, its = Pipe()
if os.fork():
    mine.poll(60)
    if sys.argv[1] == "dies":
        os._exit(0)
    os.wait()
else:
    begin_worker(0)
    its.send("ready")
    time.sleep(0.2)
    try:
        raise ConnectionResetError("in the middle of a batch")
    except ConnectionResetError:
        sys.excepthook(*sys.exc_info())
    if sys.argv[1] == "dies":
        time.sleep(60)
        print("outlived its process", file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="os.fork")
@pytest.mark.parametrize("its_process", ["lives", "dies"])
def test_a_worker_ends_without_a_word_once_its_process_is_dead(its_process: str) -> None:
    """As long as that lives, what goes wrong in a worker is told. The pipe of stderr is open until the worker ends."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, its_process], stderr=subprocess.PIPE, text=True, timeout=50, check=True
    )
    assert ("ConnectionResetError: in the middle of a batch" in done.stderr) == (its_process == "lives")
    assert (done.stderr == "") == (its_process == "dies")
