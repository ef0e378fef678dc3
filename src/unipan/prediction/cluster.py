"""`unipan predict --ray`: the images of a plan are segmented by the processes of a Ray cluster.

This process plans, lists and writes what is of all images; workers (`ImageWorker`) write what is of one. Ray keeps no
order, so every report carries its image's name, and images are handed on in the order of the plan.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from unipan.config import Precision, Runtime
from unipan.outputs import Outputs
from unipan.prediction.images import ImageJob
from unipan.prediction.loop import Elsewhere, ImageLoop, Prediction, threads_of_one
from unipan.prediction.making import FailedImage
from unipan.prediction.options import LOCAL, ClusterOptions
from unipan.prediction.plan import PredictionPlan
from unipan.prediction.remote import RemoteImage
from unipan.prediction.run import run_prediction
from unipan.prediction.worker import REPORT, ImageWorker, Order, rows_of_jobs
from unipan.runtimes import open_network

ROWS_AT_ONCE = 8
"""Images that a worker gets at once: few, so that those of a lost worker are soon made again."""
SPREAD = 4
"""Batches for each worker, at least, so that none waits long for the last one."""
ADDRESS = "RAY_ADDRESS"
"""Ray's own variable of the environment."""


def carry_out(
    plan: PredictionPlan,
    cluster: ClusterOptions,
    device: str,
    runtime: Runtime,
    precision: Precision,
    fusion: str | None,
    trim: int,
    *,
    warn: Callable[[str], None],
    advance: Callable[[int, int], None],
) -> Prediction:
    """Do what was planned, in this process or in those of a cluster; see `open_network` and `run_prediction`.

    Raises:
        ModuleNotFoundError: Ray is missing.
        ValueError: there is no cluster at the address, or no GPU in it for --device cuda.
    """
    with _segmented_by(plan, cluster, device, runtime, precision, fusion, trim) as (place, elsewhere):
        segmenter = open_network(plan.checkpoint, place, runtime, precision, threads_of_one(plan))
        return run_prediction(plan, segmenter, fusion, trim, warn, advance, elsewhere)


@contextmanager
def _segmented_by(
    plan: PredictionPlan,
    cluster: ClusterOptions,
    device: str,
    runtime: Runtime,
    precision: Precision,
    fusion: str | None,
    trim: int,
) -> Iterator[tuple[str, Elsewhere | None]]:
    """The device of this process's network, and who makes the images if there is a cluster, which is joined now."""
    if cluster.ray is None:
        yield device, None
        return
    with _in_cluster(cluster.ray) as resources:
        gpus = int(resources.get("GPU", 0))
        there, on_gpu = _device_there(device, runtime, gpus)
        count = cluster.ray_workers or (gpus if on_gpu else int(resources.get("CPU", 1))) or 1
        order = Order(
            replace(plan, jobs=(), names=(), outputs=Outputs("predict")),
            {}, there, runtime, precision, fusion, trim, str(Path.cwd()),
        )  # fmt: skip

        def elsewhere(loop: ImageLoop) -> Generator[ImageJob, None, None]:
            return _in_order(loop, lambda todo: _reports(loop, order, todo, count, on_gpu))

        yield "cpu" if on_gpu else there, elsewhere


def _device_there(device: str, runtime: Runtime, gpus: int) -> tuple[str, bool]:
    """The device of a worker, and whether that is a GPU that Ray has to give to it."""
    if device.startswith("cuda:"):
        raise ValueError(f"--device {device}: Ray chooses the GPU of each process; give cuda")
    if device == "cuda" and not gpus:
        raise ValueError("--device cuda: this Ray cluster has no GPU; give cpu, or the address of another cluster")
    if device == "cuda" or (device == "auto" and gpus and runtime != "onnx"):
        return "cuda", True
    return ("cpu" if device == "auto" else device), False


@contextmanager
def _in_cluster(address: str) -> Iterator[dict[str, float]]:
    """Join a cluster, or begin one on this machine; gives what it has. One that this process is in already stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of its own ways of doing things
    import ray
    import ray.data

    if ray.is_initialized():
        yield ray.cluster_resources()
        return
    address = address or os.environ.get(ADDRESS) or LOCAL
    # Ray replaces the handler of SIGTERM with its own, which ends the process with status 15.
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        more: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
        with _quietly():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except Exception as error:  # of a node that takes too long to start, Ray raises a plain Exception
        words = " ".join(str(error).split())[:300]
        if address == LOCAL:
            what = f"--ray: Ray did not start on this machine ({words}); end other programs, or leave --ray out"
        else:
            what = f"--ray {address}: there is no Ray cluster to join ({words}); start one (`ray start`)"
        raise ValueError(what) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


@contextmanager
def _quietly() -> Iterator[None]:
    """Ray's library for C++ greets on the standard error of the process; what goes wrong is raised besides."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


Reports = Generator[dict[str, Any], None, None]


def _in_order(loop: ImageLoop, begin: Callable[[Sequence[ImageJob]], Reports]) -> Generator[ImageJob, None, None]:
    """The images of the plan in their order, each as soon as the loop can know what became of it."""
    todo = {job.name: job for job in loop.plan.jobs if loop.journal.line_of(job) is None}
    loop.ahead = len(loop.plan.jobs) - len(todo)
    try:
        with closing(begin(list(todo.values()))) as reports:
            for job in loop.plan.jobs:
                while job.name in todo and (report := next(reports, None)) is not None:
                    _check(report, loop)
                    del todo[report["name"]]
                    if "done" in report:
                        loop.journal.adopt(report["done"])
                        loop.ahead += 1
                    else:
                        loop.failed[report["name"]] = FailedImage(report["left_out"], begun=False)
                if job.name in todo:
                    reason = "no process has told what became of it; the same command tries again"
                    loop.failed[job.name] = FailedImage(reason, begun=False)
                loop.ahead -= job.name not in loop.failed
                yield job
    except BaseException:  # also GeneratorExit, where the loop itself has ended
        with suppress(OSError):
            loop.journal.gather()
        raise


def _check(report: dict[str, Any], loop: ImageLoop) -> None:
    """Raises ValueError or OSError for a worker that can do nothing; the second says what is done."""
    if "stop" in report:
        words = f"--ray: {report['stop']} (said by a process on {report['worker']})"
        raise OSError(words) if loop.kept else ValueError(words)


def _reports(
    loop: ImageLoop, order: Order, todo: Sequence[ImageJob], count: int, on_gpu: bool
) -> Generator[dict[str, Any], None, None]:
    """Have images segmented; gives the reports in whatever order they come.

    Raises:
        OSError: Ray has given up.
    """
    if not todo:
        return
    import ray
    import ray.data
    from ray.exceptions import RayError

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # reports come with their batch, not when a whole part is done
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    done = ray.data.from_items(rows_of_jobs(todo), override_num_blocks=_blocks(todo, count)).map_batches(
        ImageWorker,
        fn_constructor_args=(replace(order, run=loop.journal.run),),
        batch_size=ROWS_AT_ONCE,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count),
        num_cpus=1,
        num_gpus=1 if on_gpu else None,
    )
    try:
        for row in done.iter_rows():
            yield json.loads(row[REPORT])
    except RayError as error:
        words = " ".join(str(error).split())[:300]
        raise OSError(f"--ray: Ray has ended the work ({type(error).__name__}: {words})") from error


def _blocks(todo: Sequence[ImageJob], count: int) -> int:
    """Into how many parts the images are cut, each for one worker."""
    apart = min(len(todo), SPREAD * count)
    # Rows of a table lie together in the file: each part begins with looking for its first one.
    together = isinstance(todo[0], RemoteImage) and todo[0].row is not None
    return apart if together else max(apart, -(-len(todo) // ROWS_AT_ONCE))
