"""One process and one process of several (a group of one; two are in tests/training/test_ddp.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed

from unipan.ops.distributed import in_any_process, mean_count

CPU = torch.device("cpu")


@pytest.fixture(params=[False, True])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    if request.param:
        distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    if request.param:
        distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_alone_a_count_is_itself_but_never_zero() -> None:
    assert [mean_count(count, CPU) for count in (0, 1, 2**40 + 1)] == [1.0, 1.0, 2.0**40 + 1]
    assert [in_any_process(fact, CPU) for fact in (False, True)] == [False, True]
