"""Start or join the processes of a run: one or many, CPU or GPU, on one machine or several."""

import atexit
import gc
import os

from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import distributed

from unipan.training.other_processes import OtherProcesses

__all__ = ["Fabric", "launch"]


def launch(
    accelerator: str = "auto", devices: int = 1, num_nodes: int = 1, others: OtherProcesses | None = None
) -> Fabric:
    """Start the processes by running the same command again, or join those that torchrun or srun have started.

    Each of them returns from here; `others` looks after them until its `with` ends. docs/multi_gpu.md has the commands.

    Raises:
        ValueError: other numbers than torchrun or srun have started, no such device, or no connection.
    """
    devices, num_nodes = joined(devices, num_nodes)
    several = devices * num_nodes > 1
    asked = f"--accelerator {accelerator}"
    asked += "".join(f" {option} {number}" for option, number in _options(devices, num_nodes) if number != 1)
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, num_nodes=num_nodes, strategy="ddp" if several else "auto"
        )
    except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:  # Lightning raises all of these
        fewer = "" if devices == 1 else ", or --devices from 1 to the number of its GPUs"
        raise ValueError(
            f"{asked}: this machine cannot do that ({_words(error)}); give --accelerator cpu{fewer}"
        ) from error
    if others is not None:
        others.watch(fabric, devices * num_nodes)
    try:
        fabric.launch()
    except distributed.DistError as error:
        raise ValueError(
            f"{asked}: the processes did not find each other ({_words(error)}); docs/multi_gpu.md has the commands"
        ) from error
    if several:
        atexit.register(_leave)
    return fabric


def _options(devices: int, num_nodes: int) -> tuple[tuple[str, int], ...]:
    return ("--devices", devices), ("--num-nodes", num_nodes)


def _words(error: Exception) -> str:
    """An error of a library on one line, as part of our sentence."""
    return " ".join(str(error).split()).rstrip(".!")


def _leave() -> None:
    """Close the process group before Python exits; Lightning does so only for NCCL.

    gloo's threads may still hold tensors of the last collective; if one releases them after the interpreter has shut
    down, the process aborts ("terminate called without an active exception") after all its work
    (https://github.com/pytorch/pytorch/pull/179291). The threads end with the group, which reference cycles may keep
    alive, so these are collected first.
    """
    if distributed.is_initialized():
        gc.collect()
        distributed.destroy_process_group()


def joined(devices: int, num_nodes: int) -> tuple[int, int]:
    """Processes per machine and machines, as asked for, or as torchrun or srun have started them where they have.

    Without this, every process would train on its own if the options say 1.

    Raises:
        ValueError: the options say other numbers above 1.
    """
    started = _started()
    if started is None:
        return devices, num_nodes
    starter, *numbers = started
    for (option, asked), found in zip(_options(devices, num_nodes), numbers, strict=True):
        if asked not in (1, found):
            raise ValueError(
                f"{option} {asked}: {starter} has started {numbers[0]} processes on each of {numbers[1]} machines; "
                f"leave {option} out, or start as many"
            )
    return numbers[0], numbers[1]


def _started() -> tuple[str, int, int] | None:
    """Who has started these processes, how many on each machine, and on how many machines; None for nobody."""
    if TorchElasticEnvironment.detect():
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return "torchrun", local, int(os.environ["WORLD_SIZE"]) // local
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return "srun", int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return None
