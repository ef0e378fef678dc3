"""Training batches in an order that depends only on seed and position, so that runs resume exactly and any number of
processes sees the same images."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.transforms import TrainingTransform, collate
from unipan.structures import ImageBatch, Target

WORKER_GRACE = 30.0
"""Seconds that a loader worker works on after a SIGTERM."""
WORKER_LOOK = 0.5
"""Seconds between two looks of a loader worker at its process; torch's own are 5 apart."""


class TrainingStream(Dataset[tuple[Tensor, str, Target]]):
    """An endless stream of transformed samples: position p is entry p mod len of its epoch's permutation.

    Args:
        data: the images.
        transform: seeded for each position.
        seed: of order and augmentation.

    Raises:
        ValueError: there are no images.
    """

    def __init__(self, data: PanopticData, transform: TrainingTransform, seed: int) -> None:
        if not len(data):
            raise ValueError("training: the dataset has no images; give a folder whose panoptic.json lists some")
        self.data = data
        self.transform = transform
        self.seed = seed
        self._epoch, self._order = -1, torch.zeros(0, dtype=torch.long)

    def __getitem__(self, position: int) -> tuple[Tensor, str, Target]:
        epoch, place = divmod(position, len(self.data))
        sample = self.data[int(self._permutation(epoch)[place])]
        seed = _mixed_seed(self.seed, position)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            image, target = self.transform(sample)
        return image, sample.name, replace(target, seed=_mixed_seed(seed, 1))

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(_mixed_seed(self.seed, -1 - epoch))
            self._epoch, self._order = epoch, torch.randperm(len(self.data), generator=generator)
        return self._order


def rank_positions(start: int, end: int, batch: int, rank: int, world: int) -> Iterator[int]:
    """The positions of one process: slice `rank` of every global batch, from iteration `start` on."""
    share = batch // world
    for iteration in range(start, end):
        first = iteration * batch + rank * share
        yield from range(first, first + share)


class TrainingBatches:
    """Batches of `batch` images, each for one backward pass of this process. Its workers end with `close`.

    Otherwise they live as long as the traceback of an error, and longer than a SIGTERM: Python waits for them.
    """

    def __init__(self, stream: TrainingStream, positions: Iterable[int], batch: int, workers: int) -> None:
        self._iterator: Iterator[tuple[ImageBatch, list[Target]]] = iter(
            training_loader(stream, positions, batch, workers)
        )

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> tuple[ImageBatch, list[Target]]:
        try:
            return next(self._iterator)
        except BaseException as error:
            for each in (error, error.__cause__, error.__context__):  # torch's frames in them hold the workers
                if each is not None:
                    each.__traceback__ = None
            if isinstance(error, (ConnectionError, EOFError)) and not str(error).startswith("Caught "):
                # not a worker's own error: it was gone before all of its batch had come over, which torch does not see
                kind = type(error).__name__
                raise RuntimeError(f"DataLoader worker was lost with its batch: {str(error) or kind}") from None
            raise

    def close(self) -> None:
        """End the workers."""
        self._iterator = iter(())


def training_loader(stream: TrainingStream, positions: Iterable[int], batch: int, workers: int) -> "DataLoader[Any]":
    """The loader of `TrainingBatches`."""
    return DataLoader(
        stream,
        batch_size=batch,
        sampler=positions,
        num_workers=workers,
        collate_fn=collate_training,
        persistent_workers=workers > 0,
        worker_init_fn=begin_worker,
    )


def begin_worker(_: int) -> None:
    """What a worker does first: from then on it outlasts a SIGTERM, and ends soon after its process."""
    outlast_sigterm()
    end_with_process()


def end_with_process() -> None:
    """Let a worker end, without a word, once the process that has begun it is dead.

    It holds the dead one's connections to the other processes of the run, which would wait for them; and the thread
    that hands out its batches prints a traceback when the process dies in the middle of one.
    """
    begun_by, show = os.getppid(), sys.excepthook

    def watch() -> None:
        while os.getppid() == begun_by:
            time.sleep(WORKER_LOOK)
        os._exit(0)

    def show_unless_alone(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, ConnectionError):
            time.sleep(4 * WORKER_LOOK)  # a dead process closes its connections first, and is seen to be dead later
        show(kind, error, trace)

    sys.excepthook = show_unless_alone
    threading.Thread(target=watch, name="end with process", daemon=True).start()


def outlast_sigterm() -> None:
    """Let a worker go on for a while after a SIGTERM.

    Schedulers send it to every process at once, and torch ends a training whose worker dies, before it could save.
    """

    def end_later(*_: object) -> None:
        timer = threading.Timer(WORKER_GRACE, os._exit, (0,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, end_later)


def collate_training(parts: list[tuple[Tensor, str, Target]]) -> tuple[ImageBatch, list[Target]]:
    """Images padded to a common size; targets keep theirs."""
    return collate([(image, name) for image, name, _ in parts]), [target for _, _, target in parts]


def _mixed_seed(seed: int, position: int) -> int:
    """One 63-bit seed from two numbers (splitmix64's finaliser), so that neighbouring seeds are unrelated."""
    z = (seed * 0x9E3779B97F4A7C15 + position * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return (z ^ (z >> 31)) >> 1
