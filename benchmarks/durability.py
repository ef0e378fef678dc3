"""Trainings that are killed (SIGKILL) at random moments and resumed, against one that was left alone.

After every kill each file of the run is read: none may be torn. Whenever a run has come to its end in spite of the
kills, its weights must be the other's, bit for bit, and so must log.csv but for the seconds. The network is that of the
tests, and its state is saved in every iteration, so that many kills meet a file that is being written.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/durability.py [--kills 50] [--iterations 8] [--workers 0]

It stops after so many kills, or `--minutes`, whichever comes first, and lets the last run come to its end.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/durability.py --ranks 20 [--workers 1]

instead kills so often one of the two processes of a `unipan train --devices 2`, and measures how long the command and
what it has begun outlive it.
"""

import argparse
import csv
import math
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from tests.tiny import Drawn, tiny_config, tiny_network
from tests.training.killed_processes import BOUND, TwoProcesses

from unipan.config import Config
from unipan.folder_lock import LOCK, folder_lock
from unipan.training.options import RESUME_STATE
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer


def train(folder: Path, config: Config) -> None:
    """Begin or resume a run in this process, as `unipan train` does."""
    torch.set_num_threads(1)
    with folder_lock(folder, "--out"):
        record = RunRecord(folder, every=3, quiet=True)
        record.clear_leftovers()
        fabric = Fabric(accelerator="cpu", devices=1)
        trainer = Trainer(fabric, config, Drawn([3, 0, 2]), Drawn([2], 50), record, tiny_network(config))
        trainer.save_seconds = 0.0
        if (folder / RESUME_STATE).exists():
            trainer.load_state(record.load_resume()[0])
            record.cut_log(trainer.progress.iteration)
        trainer.run()


def begin(folder: Path, config: Config) -> int:
    """Train in a forked process, which has everything imported; returns its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(folder, config)
        code = 0
    finally:
        os._exit(code)


def torn(folder: Path) -> list[str]:
    """What cannot be read in the folder of a killed run."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.name == RESUME_STATE.name:
                torch.load(path, weights_only=True)
            elif path.suffix == ".safetensors":
                load_file(path)
            elif path.name == "log.csv" and not path.read_text().endswith("\n"):
                found.append(str(path))
        except Exception as error:  # whatever the library raises
            found.append(f"{path}: {error}")
    return found


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def same(folder: Path, whole: Path) -> bool:
    """Whether two runs have the same weights, bit for bit, and the same log."""
    equal = rows(folder) == rows(whole)
    for name in ("last.safetensors", "best.safetensors"):
        mine, wanted = load_file(folder / name), load_file(whole / name)
        equal = equal and mine.keys() == wanted.keys() and all(torch.equal(mine[key], wanted[key]) for key in mine)
    return equal


RANK_ROWS = 12
"""Of log.csv in a training of two processes."""
TOLD = ("was killed (SIGKILL)", "the first process of this run")


def kill_ranks(kills: int, workers: int, moments: random.Random, place: Path) -> int:
    """Kill the first or the second of two processes, at random moments after the first row of log.csv, and resume."""
    options = ["--train.iterations", f"{2 * RANK_ROWS}", "--train.validations", f"{RANK_ROWS}"]
    options += ["--train.num-workers", f"{workers}"]
    start, whole = time.monotonic(), place / "whole"
    failed = int(TwoProcesses(whole, *options).command.wait() != 0)
    finished = different = untold = 0
    ended: dict[int, list[float]] = {0: [], 1: []}
    gone: list[float] = []
    while len(gone) < kills or finished == 0:
        folder = place / f"run{finished}"
        run = TwoProcesses(folder, *options, *(["--resume"] if (folder / RESUME_STATE).exists() else []))
        if run.rows > RANK_ROWS // 2 or len(gone) == kills:
            failed += run.command.wait() != 0
            finished += 1
            different += not same(folder, whole)
            continue
        run.wait_for_row()
        time.sleep(moments.uniform(0, 2))
        rank = moments.randrange(2)
        until_end, until_gone = run.kill(rank)
        ended[rank].append(until_end)
        gone.append(until_gone)
        said = [line for line in run.said.splitlines() if line.startswith("unipan: ")]
        untold += len(said) != 1 or not any(words in said[0] for words in TOLD) or "Traceback" in run.said
    for rank, name in ((0, "first"), (1, "second")):
        times = sorted(ended[rank]) or [0.0]
        middle, longest = times[len(times) // 2], times[-1]
        print(f"{name} process killed {len(ended[rank])} times: ended after {middle:.1f} s, at most {longest:.1f} s")
    print(
        f"no process left after at most {max(gone):.1f} s; without its one sentence: {untold}, failed: {failed}, "
        f"finished: {finished}, different: {different}, in {(time.monotonic() - start) / 60:.0f} minutes"
    )
    return int(bool(failed or different or untold or max(gone) > BOUND))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 50), ("iterations", 8), ("workers", 0), ("seed", 0), ("ranks", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=math.inf)
    asked = parser.parse_args()
    if asked.ranks:
        with tempfile.TemporaryDirectory() as place:
            return kill_ranks(asked.ranks, asked.workers, random.Random(asked.seed), Path(place))
    base = tiny_config()
    schedule = replace(base.train, iterations=asked.iterations, ema_decay=0.9, num_workers=asked.workers)
    config, moments = replace(base, train=schedule), random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        start = time.monotonic()
        os.waitpid(begin(whole, config), 0)
        length = time.monotonic() - start
        print(f"uninterrupted: {asked.iterations} iterations in {length:.1f} s", flush=True)
        counts = Counter[str]({"failed": 0, "different": 0, "torn files": 0})
        while counts["killed"] < asked.kills and time.monotonic() - start < 60 * asked.minutes:
            folder = Path(place) / f"run{counts['finished']}"
            child = begin(folder, config)
            time.sleep(moments.uniform(0, 1.3 * length))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):  # it had come to its end, or failed
                counts["failed"] += os.WEXITSTATUS(status) != 0
                counts["finished"] += 1
                counts["different"] += not (os.WEXITSTATUS(status) == 0 and same(folder, whole))
                continue
            counts["killed"] += 1
            counts["in a write"] += bool(list(folder.rglob("*.tmp")))
            counts["before the first state"] += not (folder / RESUME_STATE).exists()
            counts["locks left behind"] += (folder / LOCK).exists() and (folder / LOCK).stat().st_size > 0
            counts["torn files"] += len(torn(folder)) if folder.exists() else 0
        folder = Path(place) / f"run{counts['finished']}"
        _, status = os.waitpid(begin(folder, config), 0)
        counts["failed"] += status != 0
        counts["finished"] += 1
        counts["different"] += not same(folder, whole)
        counts["temporary files left in finished runs"] = len(list(Path(place).rglob("*.tmp")))
    minutes = (time.monotonic() - start) / 60
    print(", ".join(f"{name}: {count}" for name, count in counts.items()) + f", in {minutes:.0f} minutes")
    return int(bool(counts["failed"] or counts["different"] or counts["torn files"]))


if __name__ == "__main__":
    raise SystemExit(main())
