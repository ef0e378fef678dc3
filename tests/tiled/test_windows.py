"""Windows cover a map once, and maps of a whole picture lie in files that leave nothing behind."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
import torch

from unipan.tiled.windows import VALUES, CellWindow, FeatureMap, split, windows

CPU = torch.device("cpu")


def covered(parts: list[CellWindow], size: tuple[int, int]) -> torch.Tensor:
    count = torch.zeros(size)
    for part in parts:
        count[part.slices] += 1
    return count


def test_windows_cover_every_cell_once() -> None:
    parts = list(windows((70, 130), 64))
    assert [part.size for part in parts] == [(64, 64), (64, 64), (64, 2), (6, 64), (6, 64), (6, 2)]
    assert (covered(parts, (70, 130)) == 1).all()


def test_a_window_is_halved_until_its_values_are_few_enough() -> None:
    whole = CellWindow(0, 70, 0, 130)
    channels = VALUES // (32 * 32)
    parts = list(split(whole, lambda part: channels * part.size[0] * part.size[1]))
    assert (covered(parts, (70, 130)) == 1).all()
    assert len(parts) > 8
    assert all(channels * part.size[0] * part.size[1] <= VALUES for part in parts)
    endless = list(split(whole, lambda part: VALUES + 1))
    assert min(max(part.size) for part in endless) >= 8


def test_a_grown_window_ends_at_the_edge_and_knows_its_middle() -> None:
    inner = CellWindow(2, 6, 60, 64)
    seen = inner.grown(3, (100, 64))
    assert seen == CellWindow(0, 9, 57, 64)
    values = torch.arange(9)[:, None] * 100 + torch.arange(57, 64)
    assert values[inner.within(seen)][0].tolist() == [260, 261, 262, 263]
    assert inner.over(4) == CellWindow(0, 2, 15, 16)
    assert inner.over(4).times(4) == CellWindow(0, 8, 60, 64)


def test_a_feature_map_keeps_what_is_written_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = FeatureMap(3, (10, 12))
    values = torch.randn(3, 4, 5)
    window = CellWindow(6, 10, 7, 12)
    made.write(window, values)
    assert torch.equal(made.read(window, CPU), values)
    assert made.tensor.count_nonzero() == values.count_nonzero()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room is reserved where the system can")
def test_a_full_disk_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _start: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no place for 1 MiB .*No space left on device.*TMPDIR"):
        FeatureMap(3, (10, 12))
    monkeypatch.delattr(os, "posix_fallocate")  # macOS: the room is taken by writing
    assert FeatureMap(3, (10, 12)).tensor.count_nonzero() == 0


def test_a_folder_that_has_gone_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OSError, match=r"gone: no place for .*No such file or directory.*TMPDIR"):
        FeatureMap(3, (10, 12))
