"""The training loop (Sec. 3.5, App. B), on Lightning Fabric: one process or many, CPU or GPU, the same command."""

import copy
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM

import torch
from lightning_fabric import Fabric
from torch import Tensor

from unipan.build import build_criterion, build_network
from unipan.checkpoint import save_checkpoint
from unipan.config import Config
from unipan.datasets.loading import TrainingBatches, TrainingStream, rank_positions
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sources import use_window
from unipan.datasets.transforms import TrainingTransform
from unipan.models.network import PanopticNetwork
from unipan.ops.distributed import in_any_process, mean_count
from unipan.stopping import StoppedBySignal, StopSignals
from unipan.structures import ImageBatch, Target
from unipan.training.run_folder import RunRecord, ValidationFigures
from unipan.training.schedule import make_optimizer, panoptic_begins, set_learning_rate
from unipan.training.step import TrainingStep, check_finite, runs_bf16, update_ema
from unipan.training.validation import validate

FEWEST_STEPS = 20
"""That `--minutes` takes, however short they are."""
MEASURED_STEPS = 6
"""Steps that are timed before a run and then undone."""
MEASURED_SECONDS = 60.0
"""Timing stops after so many seconds."""
SAVE_SECONDS = 600.0
"""Between two savings of the state, by default."""
BEFORE_VALIDATION = 10.0
"""The state is saved before a validation too if it is older than so many seconds: what stops a validation need not wait
for its end then."""
VALIDATION_SHARE = 0.92
"""Share of `--minutes` for the steps; the rest is for validation and saving."""

Parts = list[tuple[ImageBatch, list[Target]]]


@dataclass
class TrainingProgress:
    """What a resume needs besides weights and optimiser: no random state, because every iteration is seeded."""

    iteration: int = 0
    best: float = -1.0
    seconds: float = 0.0


class Trainer:
    """Trains one network on one dataset; writes checkpoints, a log and the state for a resume to a folder.

    Args:
        fabric: already launched.
        config: the experiment; its schedule may still be fitted to `minutes`.
        network: with its initial weights; made anew from the config if None.
        data: to train on.
        val: to validate on.
        record: the run's folder.

    Attributes:
        signals: that stop the run after the iteration in which they come; none unless they are set.
        save_seconds: how old the saved state may become.
        saved: the iteration at which the state on the disk was taken.
    """

    def __init__(
        self,
        fabric: Fabric,
        config: Config,
        data: PanopticData,
        val: PanopticData,
        record: RunRecord,
        network: PanopticNetwork | None = None,
    ) -> None:
        self.fabric, self.config, self.data, self.val, self.record = fabric, config, data, val, record
        check_batch(config, fabric.world_size)
        for images in (data, val):
            use_window(images, config.data)
        if network is None:
            torch.manual_seed(config.train.seed)
            network = build_network(config, data.categories, pretrained=True)
        self.network = network.to(memory_format=torch.channels_last)
        self.ema = copy.deepcopy(network).eval().requires_grad_(False) if config.train.ema_decay else None
        self.criterion = build_criterion(config)
        step = TrainingStep(network, self.criterion, runs_bf16(config.train.precision, fabric.device))
        self.step, self.optimizer = fabric.setup(step, make_optimizer(step, config.train))
        if self.ema is not None:
            self.ema.to(fabric.device)
        self.progress = TrainingProgress()
        self.signals, self.save_seconds = StopSignals(), SAVE_SECONDS
        self.saved: int | None = None
        self._saved_at = 0.0
        self._stop = False

    @property
    def evaluated(self) -> PanopticNetwork:
        """The network that is validated and saved: the EMA if there is one."""
        return self.ema or self.network

    def seconds_per_step(self, most: int = MEASURED_STEPS, late: float | None = None) -> float:
        """Seconds per step, the same on every process; weights, EMA and optimiser are restored.

        Args:
            most: steps of each kind that are timed.
            late: share of the steps before a late start; None takes the whole run's.
        """
        before = copy.deepcopy(self.state())
        late = self.config.train.panoptic_from if late is None else late
        shares = [(True, 1 - late), (False, late)]
        seconds = sum(share * self._timed(most, panoptic) for panoptic, share in shares if share)
        seconds = float(self.fabric.all_reduce(torch.tensor(seconds), reduce_op="mean"))  # type: ignore[arg-type]
        self.load_state(before)
        return seconds

    def _timed(self, most: int, panoptic: bool) -> float:
        """Seconds per step of one kind."""
        times: list[float] = []
        with closing(self._batches(0, most)) as batches:
            for iteration in range(most):
                start = time.perf_counter()
                self._iteration(iteration, self._parts(batches), panoptic)
                times.append(time.perf_counter() - start)
                if self.fabric.world_size == 1 and sum(times) > MEASURED_SECONDS:
                    break
        return float(torch.tensor(times[2:] or times[-1:]).median())

    def fit_to(self, minutes: float) -> None:
        """Set the number of iterations that fit into `minutes`, from a few timed steps."""
        seconds = self.seconds_per_step()
        fit = int(minutes * 60 * VALIDATION_SHARE / seconds)
        iterations = max(FEWEST_STEPS, fit)
        self.config = replace(self.config, train=replace(self.config.train, iterations=iterations))
        text = f"--minutes {minutes:g}: a step takes {seconds:.2f} s, so "
        if fit >= FEWEST_STEPS:
            self._say(f"{text}{iterations} iterations fit")
            return
        whole = spell_time(iterations * seconds / VALIDATION_SHARE)
        self._say(
            f"{text}{f'only {fit} fit' if fit else 'not one fits'}; {iterations} are taken, about {whole} with their "
            f"validations (--train.iterations {max(fit, 1)} in place of --minutes takes fewer)"
        )

    def announce(self) -> None:
        """Say how long the rest of the run will take, from a few timed steps."""
        left = self.config.train.iterations - self.progress.iteration
        late = max(0, panoptic_begins(self.config.train) - self.progress.iteration) / max(left, 1)
        seconds = self.seconds_per_step(max(1, min(left, MEASURED_STEPS)), late)  # no more work than what is foretold
        whole = spell_time(left * seconds / VALIDATION_SHARE)
        self._say(
            f"a step takes {seconds:.2f} s: {left} iterations take about {whole} with their validations "
            "(--minutes M fits the schedule to M minutes)"
        )

    def _say(self, text: str) -> None:
        if self.fabric.is_global_zero:
            self.record.say(text)

    def run(self, stop_after: int | None = None) -> ValidationFigures:
        """Train to the end (or to `stop_after` iterations of this call) and return the last validation's figures.

        Raises:
            StoppedBySignal: a signal came, and the state is saved.
        """
        train = self.config.train
        end = train.iterations if stop_after is None else min(train.iterations, self.progress.iteration + stop_after)
        first = self.progress.iteration
        batches = self._batches(first, end)
        every, begins = max(1, train.iterations // max(train.validations, 1)), panoptic_begins(train)
        figures: ValidationFigures = {}
        bar = self.record.progress_bar(train.iterations, first, self.fabric.is_global_zero)
        with closing(batches), self.signals.deferred(), bar as advance:
            for iteration in range(first, end):
                due = (iteration + 1) % every == 0 or iteration + 1 == train.iterations
                self._save_state(min(self.save_seconds, BEFORE_VALIDATION) if due else self.save_seconds)
                start = time.perf_counter()
                losses, rate = self._iteration(iteration, self._parts_or_saved(batches), iteration >= begins)
                self.progress.iteration = iteration + 1
                self.progress.seconds += time.perf_counter() - start
                advance(losses)
                if due:
                    figures = self._validate()
                if self.fabric.is_global_zero:
                    seconds = time.perf_counter() - start
                    self.record.log(iteration + 1, rate, losses, seconds, figures if due else None, last=due)
                if due:
                    self._save(figures)
                if self._stop and iteration + 1 < train.iterations:
                    self._save_and_stop()
        return figures

    def _batches(self, start: int, end: int) -> TrainingBatches:
        train = self.config.train
        stream = TrainingStream(self.data, TrainingTransform(self.config.data, self.data.categories), train.seed)
        positions = rank_positions(start, end, train.batch_size, self.fabric.global_rank, self.fabric.world_size)
        share = train.batch_size // self.fabric.world_size // train.accumulation_steps
        return TrainingBatches(stream, positions, share, train.num_workers)

    def _parts(self, batches: TrainingBatches) -> Parts:
        """What the passes of a step see."""
        return [next(batches) for _ in range(self.config.train.accumulation_steps)]

    def _parts_or_saved(self, batches: TrainingBatches) -> Parts:
        """`_parts`; if a process cannot read its own, what was done before is saved, since no step is half done yet."""
        parts, unread = [], None
        try:
            parts = self._parts(batches)
        except (OSError, ValueError, RuntimeError) as error:
            unread = error
        if not in_any_process(unread is not None, self.fabric.device):
            return parts
        if self.progress.iteration:
            with suppress(OSError, ValueError):  # it would hide what went wrong first
                self._save_state(0.0)
                self._say(f"saved after {self.progress.iteration} iterations; --resume goes on when this is mended")
        self.fabric.barrier()  # the launcher ends the first process when another one ends before it
        raise unread or ValueError("training: another process could not read an image; it says which")

    def _iteration(self, iteration: int, parts: Parts, panoptic: bool = True) -> tuple[dict[str, float], float]:
        """One optimiser step, with the panoptic submodule or without; returns the unweighted losses, averaged over
        processes and backward passes, and the learning rate."""
        train = self.config.train
        # Images have their own seeds (Target.seed); this makes all other randomness repeatable after a resume.
        torch.manual_seed(train.seed * 1_000_003 + iteration * 1009 + self.fabric.global_rank)
        rate = set_learning_rate(self.optimizer, iteration, train)
        self.step.train()
        self.step.module.panoptic = panoptic
        labelled = self._labelled([targets for _, targets in parts])
        sums: dict[str, Tensor] = {}
        for number, (images, targets) in enumerate(parts, 1):
            terms = self._backward(images, targets, labelled, last=number == len(parts))
            sums = {name: sums.get(name, 0) + term / train.accumulation_steps for name, term in terms.items()}
        if not panoptic:  # they are zeros, from which an optimiser's averages and weight decay would learn
            for parameter in self.network.panoptic_parameters():
                parameter.grad = None
        if train.max_grad_norm:
            self.fabric.clip_gradients(
                self.step, self.optimizer, max_norm=train.max_grad_norm, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema is not None:
            update_ema(self.ema, self.network, train.ema_decay, iteration)
        asked = next(iter(sums.values())).new_tensor(float(self.signals.received is not None))
        means = self.fabric.all_reduce(torch.stack([*sums.values(), asked]), reduce_op="mean")
        assert isinstance(means, Tensor)
        *values, asking = means.tolist()
        self._stop = self._stop or asking > 0  # all processes stop after the same iteration
        return dict(zip(sums, values, strict=True)), rate

    def _backward(
        self, images: ImageBatch, targets: list[Target], labelled: float | None, last: bool
    ) -> dict[str, Tensor]:
        """One backward pass; gradients are averaged over the processes in the last one of a step."""
        images = images.to(self.fabric.device)
        targets = [target.to(self.fabric.device) for target in targets]
        with self.fabric.no_backward_sync(self.step, enabled=not last):
            terms = self.step(images, targets, labelled)
            check_finite(terms, self.step.module, images, targets, self.record.folder)
            self.fabric.backward(self.criterion.total(terms) / self.config.train.accumulation_steps)
        return {name: term.detach() for name, term in terms.items()}

    def _labelled(self, targets: list[list[Target]]) -> float | None:
        """The divisor of the cross entropy of V in each of several backward passes (see `Criterion.forward`)."""
        if len(targets) == 1:
            return None
        count = sum(self.criterion.labelled(some) for some in targets)
        return mean_count(count, self.fabric.device) / len(targets)

    def _save(self, figures: ValidationFigures) -> None:
        reached = figures["pq"] or 0.0  # None: all of the validation images is void
        better = reached >= self.progress.best
        self.progress.best = max(self.progress.best, reached)
        if not self.fabric.is_global_zero:
            return
        for name in ("last", "best") if better else ("last",):
            self._save_checkpoint(self.record.folder / f"{name}.safetensors", figures)
        self._save_state(0.0)

    def _save_checkpoint(self, path: Path, figures: ValidationFigures) -> None:
        metrics = figures | {"iteration": self.progress.iteration, "seconds": round(self.progress.seconds, 1)}
        save_checkpoint(path, self.evaluated.state_dict(), self.config, self.data.categories, metrics)

    def write_missing(self) -> Iterator[str]:
        """Write last.safetensors of a finished run again if it is gone; says what is written and what cannot be."""
        last, best = (self.record.folder / f"{name}.safetensors" for name in ("last", "best"))
        if not self.fabric.is_global_zero:
            return
        if not last.is_file():
            self._save_checkpoint(last, {})
            yield f"{last} was missing and is written again, without the figures of its validation"
        if not best.is_file():
            yield f"{best} is missing, and only {last.name} can be made again"

    def _validate(self) -> ValidationFigures:
        # One process may leave a validation at once; several would wait for the one that left.
        with self.signals.at_once() if self.fabric.world_size == 1 else nullcontext():
            return validate(self.fabric, self.evaluated, self.config, self.data.categories, self.val)

    def _save_state(self, oldest: float) -> None:
        """Save what a resume needs, unless it was saved in the last `oldest` seconds or has not changed since."""
        fresh = self.saved is not None and time.monotonic() - self._saved_at < oldest
        if not self.fabric.is_global_zero or fresh or self.saved == self.progress.iteration:
            return
        self.record.save_resume(self.state(), self.config)
        self.saved, self._saved_at = self.progress.iteration, time.monotonic()

    def _save_and_stop(self) -> None:
        self._save_state(0.0)
        self.fabric.barrier()  # Fabric kills the first process when another one ends before it
        raise StoppedBySignal(self.signals.received or SIGTERM)

    def state(self) -> dict[str, object]:
        """Everything that a resume needs."""
        return {
            "network": self.network.state_dict(),
            "average": self.ema.state_dict() if self.ema is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
            "log": self.record.pending(),
            "categories": self.data.categories.to_coco(),
        }

    def load_state(self, state: dict[str, object]) -> None:
        """Continue where `state()` was taken."""
        self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
        if self.ema is not None:
            self.ema.load_state_dict(state["average"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = TrainingProgress(**state["progress"])  # type: ignore[arg-type]
        if "log" in state:  # states of unipan 0.2 and before have none
            self.record.restore(state["log"])  # type: ignore[arg-type]


def check_batch(config: Config, world: int) -> None:
    """Raises ValueError if the batch does not split evenly over processes and accumulation steps."""
    train = config.train
    if train.batch_size % (world * train.accumulation_steps):
        raise ValueError(
            f"train.batch_size: {train.batch_size} images do not divide evenly among {world} processes x "
            f"{train.accumulation_steps} accumulation steps; make it a multiple"
        )


def spell_time(seconds: float) -> str:
    """A duration in words."""
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds:.0f} seconds"
    return f"{minutes / 60:.1f} hours" if minutes < 60 * 48 else f"{minutes / 60 / 24:.1f} days"
