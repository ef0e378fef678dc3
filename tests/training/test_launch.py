"""Who starts the processes."""

import pytest
from lightning_fabric import Fabric
from lightning_fabric.accelerators import CUDAAccelerator, MPSAccelerator
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from torch import distributed

from unipan.training.launch import joined, launch

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}
SRUN = {"SLURM_NTASKS": "16", "SLURM_NTASKS_PER_NODE": "8", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TORCHRUN, *SRUN):
        monkeypatch.delenv(name, raising=False)


def test_without_a_launcher_the_options_count() -> None:
    assert joined(1, 1) == (1, 1)
    assert joined(4, 2) == (4, 2)


@pytest.mark.parametrize(("starter", "variables"), [("torchrun", TORCHRUN), ("srun", SRUN)])
def test_started_processes_are_joined(starter: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert joined(1, 1) == joined(8, 2) == (8, 2)
    with pytest.raises(ValueError, match=f"--devices 4: {starter} has started 8 processes on each of 2 machines"):
        joined(4, 2)
    with pytest.raises(ValueError, match="--num-nodes 3"):
        joined(8, 3)


def test_a_single_task_of_slurm_starts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fabric would take the one task for all, and train on a quarter of the batch."""
    monkeypatch.setenv("SLURM_NTASKS", "1")
    with pytest.raises(ValueError, match="--devices 4: srun has started 1 processes"):
        joined(4, 1)
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert joined(4, 1) == (4, 1)


def gpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lightning finds on this machine."""
    monkeypatch.setattr(MPSAccelerator, "is_available", lambda: False)
    monkeypatch.setattr(CUDAAccelerator, "is_available", lambda: count > 0)
    monkeypatch.setattr("lightning_fabric.accelerators.cuda.num_cuda_devices", lambda: count)


@pytest.mark.parametrize(
    ("found", "devices", "sentence"),
    [
        (0, 1, r"^--accelerator gpu: this machine .* \(No supported gpu backend found\); give --accelerator cpu$"),
        (0, 4, r"--accelerator gpu --devices 4: this machine cannot do that \(No supp"),
        (1, 4, r"--accelerator gpu --devices 4: .* \(You requested gpu: .* your machine only has: \[0\]\); give"),
        (1, 0, r"--accelerator gpu --devices 0: .*or --devices from 1 to the number of its GPUs$"),
    ],
)
def test_devices_that_are_not_there_are_one_sentence(
    found: int, devices: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(found, monkeypatch)
    with pytest.raises(ValueError, match=sentence) as refused:
        launch("gpu", devices)
    assert "\n" not in str(refused.value)


def test_processes_that_do_not_meet_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(_: Fabric) -> None:
        raise distributed.DistNetworkError("The server socket has failed to listen on port 29500.\nIn use.")

    monkeypatch.setattr(Fabric, "launch", alone)
    with pytest.raises(ValueError, match="--devices 2 --num-nodes 2: "):
        launch("cpu", 2, 2)


def test_fabric_reads_the_variables_that_the_page_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SRUN | {"SLURM_PROCID": "9", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NODELIST", "gpu[03-04]")
    monkeypatch.setenv("SLURM_JOB_ID", "120042")
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    found = SLURMEnvironment()
    assert (found.world_size(), found.global_rank(), found.local_rank(), found.node_rank()) == (16, 9, 1, 1)
    assert (found.main_address, found.main_port) == ("gpu03", 15042)
