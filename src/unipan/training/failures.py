"""What ends a training from outside, in one sentence each: a killed loader worker or process, a GPU without memory."""

import re
from pathlib import Path

import torch
from torch import distributed

from unipan.stopping import StoppedBySignal
from unipan.training.options import RESUME_STATE

LOST_PROCESS = re.compile(r"gloo|NCCL|Connection (closed|reset)|Socket|Broken pipe|process group", re.IGNORECASE)
"""What torch says where another process of a training has gone."""


def how_to_continue(out: Path) -> str:
    """The end of a sentence about a run that has ended in the folder `out`."""
    if (out / RESUME_STATE).exists():
        return f"the same command with --resume continues from {out / 'resume'}"
    return "no step was done, so the same command begins anew"


def describe_stop(stop: KeyboardInterrupt, out: Path, done: int | None, total: int) -> StoppedBySignal | ValueError:
    """The error for a run that a signal has stopped, or a Ctrl-C that `StopSignals` did not see.

    Args:
        stop: what was raised.
        out: folder of the run.
        done: the iteration at which the state was saved; None if nothing was.
        total: the run's iterations.
    """
    kept = "" if done is None else f", with {done} of {total} iterations saved"
    if not isinstance(stop, StoppedBySignal):
        return ValueError(f"interrupted{kept}; {how_to_continue(out)}")
    return StoppedBySignal(stop.number, f"{stop}{kept}; {how_to_continue(out)}")


def describe_failure(error: Exception, out: Path, several: bool) -> str | None:
    """The sentence for an error that is not the data's or the code's fault; None for any other.

    Args:
        error: what torch raised.
        out: folder of the run.
        several: whether the training has more than one process.
    """
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError):
        return None
    if is_lost_worker(error):
        return (
            f"training: a process that prepares images has ended ({text.rstrip('. ')}); if memory ran out, a smaller "
            f"--train.num-workers needs less; {how_to_continue(out)}"
        )
    if "Expected more than 1 value per channel" in text:  # batch norm of torch, on a map of 1 x 1
        return (
            "training: the images of a step are so small, or so few, that batch norm has a single value at stride 32; "
            "give a larger --data.short-side or --data.crop, or a larger --train.batch-size"
        )
    if several and is_lost_process(error):
        return (
            f"training: another process of this run has ended or cannot be reached ({text[:200].rstrip('. ')}); what "
            f"it said last stands above, and memory is the first thing to look at; {how_to_continue(out)}"
        )
    return None


def is_lost_worker(error: Exception) -> bool:
    """Whether this is what torch raises, at any moment, where a loader worker has ended; not a worker's own error."""
    return "DataLoader worker" in str(error) and "Caught" not in str(error)


def is_lost_process(error: Exception) -> bool:
    """Whether this is what torch raises where another process of a training has gone."""
    return isinstance(error, distributed.DistError) or LOST_PROCESS.search(str(error)) is not None


def words_of_worker(error: Exception) -> str:
    """The message of an error that a loader worker raised, without the traceback that torch puts around it."""
    text = str(error)
    if not text.startswith("Caught ") or "DataLoader worker process" not in text:
        return text
    lines = [
        line for line in text.splitlines() if line and not line.startswith((" ", "Traceback", "Original", "Caught"))
    ]
    return lines[-1].partition(": ")[2] if lines else text
