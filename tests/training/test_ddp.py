"""Two processes on one CPU (gloo): the same command as one, and no image with or without things stops it."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.exactness import cases, difference, step_of
from unipan.training.launch import launch

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left behind: one launch for all tests."""
    folder = tmp_path_factory.mktemp("ddp")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", "tests.training.two_processes", str(folder)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "last.safetensors").is_file()
    assert len((folder / "log.csv").read_text().splitlines()) == 5  # one process writes, once an iteration
    return folder


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_images_without_things_train_and_both_end_with_the_same_weights(ranks: list[dict[str, Any]]) -> None:
    assert [rank["world"] for rank in ranks] == [2, 2]
    assert ranks[0]["start"] == ranks[1]["start"]
    changed = [name for name, value in ranks[0]["start"].items() if ranks[0]["weights"][name] != value]
    assert set(changed) == set(ranks[0]["start"])
    for name in ranks[0]["start"]:
        assert ranks[0]["weights"][name] == ranks[1]["weights"][name], name


def test_a_late_start_ends_with_the_same_weights_too(ranks: list[dict[str, Any]], folder: Path) -> None:
    for name in ranks[0]["start"]:  # statistics of batch norm are those of each process
        assert ranks[0]["late"][name] == ranks[1]["late"][name] != ranks[0]["start"][name], name
    with (folder / "late" / "log.csv").open(newline="") as file:
        assert [bool(row["panoptic"]) for row in csv.DictReader(file)] == [False, False, True, True]


def test_what_is_validated_is_what_is_saved(ranks: list[dict[str, Any]]) -> None:
    """Batch statistics differ between processes while training; the first process's are saved, so they count."""
    assert ranks[0]["average"] == ranks[1]["average"]


def test_validation_counts_every_image_once(ranks: list[dict[str, Any]]) -> None:
    assert sorted(ranks[0]["validated"] + ranks[1]["validated"]) == [0, 1, 2, 3, 4]
    assert ranks[0]["together"] == ranks[1]["together"]
    for name, value in ranks[0]["together"].items():
        assert value == pytest.approx(ranks[0]["alone"][name], abs=1e-9), name


def test_a_resumed_run_of_two_processes_is_the_uninterrupted_one(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["resumed"] == rank["weights"]


def test_a_signal_to_one_of_two_processes_stops_both_and_the_run_goes_on_exactly(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["signalled"] == rank["weights"]


def test_a_loss_that_is_no_number_in_one_process_stops_both(ranks: list[dict[str, Any]], folder: Path) -> None:
    assert "a loss of another process" in ranks[0]["stopped"]
    assert "the loss term 'semantic' is nan on image 0; batch and weights are saved" in ranks[1]["stopped"]
    assert (folder / "nonfinite.pt").is_file()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not list a process's threads")
@pytest.mark.parametrize("rank", [0, 1])
def test_no_thread_of_gloo_outlives_the_group(folder: Path, rank: int) -> None:
    """One that still holds a tensor while the interpreter goes aborts the process after all its work."""
    names = json.loads((folder / f"threads{rank}.json").read_text())
    assert names
    assert not [name for name in names if "gloo" in name]


def test_the_command_under_torchrun_leaves_one_run(ranks: list[dict[str, Any]], folder: Path) -> None:
    assert [rank["command"] for rank in ranks] == [0, 0]
    run = folder / "command"
    names = {path.name for path in run.iterdir()}
    assert names >= {"best.safetensors", "last.safetensors", "log.csv", "notes.txt", "resume"}
    with (run / "log.csv").open(newline="") as file:
        assert [row["iteration"] for row in csv.DictReader(file)] == ["2"]
    assert (run / "notes.txt").read_text().count("iteration 2: PQ") == 1
    origin = torch.load(run / "resume" / "state.pt", weights_only=True)["origin"]
    assert origin["processes"] == 2


EXACT = 1e-5
LATE = ("mask", "panoptic", "potential")
"""Terms whose count is known only after the forward pass: under accumulation, means of means."""
ALONE = """
import sys
from pathlib import Path
import torch
from tests.training.exactness import cases, step_of
from unipan.training.launch import launch
folder, *names = sys.argv[1:]
fabric = launch("cpu")
for name in names:
    torch.save(step_of(fabric, Path(folder), name, cases()[name]), Path(folder, f"{name}.pt"))
"""


def test_two_processes_give_the_losses_and_gradients_of_one(
    folder: Path, tmp_path: Path, announce: Callable[[str], None]
) -> None:
    """In 32 bits, with frozen batch norm; images with and without things, with little and with much void."""
    worst, names = {"losses": 0.0, "gradients": 0.0}, ("plain", "true boxes", "mask-free", "upsnet")
    # In a fresh process, as the two are: what other tests leave behind in this one changes how it rounds.
    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path), *names], check=True, cwd=ROOT, env=ENVIRONMENT)
    for name in names:
        alone, together = torch.load(tmp_path / f"{name}.pt"), torch.load(folder / f"{name}.pt")
        assert all(float(value) > 0 for value in alone["losses"].values()), name
        for kind, floor in (("losses", 0.0), ("gradients", 1e-3)):
            found = difference(together[kind], alone[kind], floor)
            assert found < EXACT, (name, kind, found)
            worst[kind] = max(worst[kind], found)
    announce(
        f"two processes against one: losses differ by {worst['losses']:.1e}, gradients by {worst['gradients']:.1e} "
        "(largest share of a tensor's largest value)"
    )


def test_the_step_of_upsnet_leaves_true_boxes_out(tmp_path: Path) -> None:
    """Otherwise the equality above would not ask whether two processes leave the same ones out."""
    config, fabric = cases()["upsnet"], launch("cpu")
    every = replace(config, matching=replace(config.matching, gt_box_keep_rate=1.0))
    some, whole = (step_of(fabric, tmp_path, "upsnet", each)["losses"] for each in (config, every))
    assert some.pop("panoptic") != whole.pop("panoptic")
    assert some == whole


def test_the_lovasz_softmax_alone_is_taken_per_process(folder: Path, tmp_path: Path) -> None:
    alone = step_of(launch("cpu"), tmp_path, "lovasz softmax", cases()["lovasz softmax"])["losses"]
    together = torch.load(folder / "lovasz softmax.pt")["losses"]
    assert abs(together.pop("semantic") / alone.pop("semantic") - 1) > 10 * EXACT
    assert difference(together, alone) < EXACT


def test_backward_passes_give_the_large_batch_where_the_counts_are_known(
    folder: Path, tmp_path: Path, announce: Callable[[str], None]
) -> None:
    """1 x 4, 1 x (2 + 2) and 2 x (1 + 1) images; mask and panoptic terms are means within a pass, then over passes."""
    config, fabric = cases()["two passes"], launch("cpu")
    large = replace(config, train=replace(config.train, accumulation_steps=1))
    whole = step_of(fabric, tmp_path, "two passes", large)["losses"]
    halves = step_of(fabric, tmp_path, "two passes", config)["losses"]
    both = torch.load(folder / "two passes.pt")["losses"]
    for found in (halves, both):
        known = {name: value for name, value in found.items() if name not in LATE}
        assert difference(known, {name: whole[name] for name in known}) < EXACT
    late = {name: float(halves[name] / whole[name] - 1) for name in LATE if name in whole}
    assert all(abs(share) < 0.5 for share in late.values())
    announce(f"two backward passes against one: {', '.join(f'{n} {s:+.1%}' for n, s in late.items())}, the rest exact")
    # Without the terms whose counts come late, the gradients are exact, too.
    config, large = (replace(c, loss=replace(c.loss, detection=0.0, panoptic=1e-12)) for c in (config, large))
    expected, found = (step_of(fabric, tmp_path, "two passes", c)["gradients"] for c in (large, config))
    assert difference(found, expected, 1e-3) < EXACT
