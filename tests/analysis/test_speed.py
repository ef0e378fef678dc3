"""Networks are timed in turn: the slower one is seen to be slower, by the right part."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import CATEGORIES, Drawn, tiny_config, tiny_network
from unipan.analysis.speed import Timing, time_in_turn
from unipan.inference import Segmenter
from unipan.presets import upsnet
from unipan.reproduction.tables import render_speed
from unipan.scene import Scene


def test_a_fusion_that_waits_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    segmenter = Segmenter(tiny_network(config).eval(), config, CATEGORIES, {}, torch.device("cpu"))
    real = Scene.result

    def slow(scene: Scene, fusion: str | None = None) -> object:
        if fusion == "heuristic":
            time.sleep(0.2)
        return real(scene, fusion)

    monkeypatch.setattr(Scene, "result", slow)
    found = time_in_turn(
        {"one": (segmenter, "affinity"), "two": (segmenter, "heuristic")}, Drawn([2, 1]), images=2, rounds=1
    )
    assert found["two"].fusion > 200
    assert found["one"].fusion < found["two"].fusion
    assert found["one"].ratio == 1
    assert found["two"].low > 1
    assert found["two"].low <= found["two"].ratio <= found["two"].high
    assert np.isclose(found["two"].total, found["two"].network + found["two"].fusion)


def test_the_lines_of_the_page_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/full_size.md, with tiny networks instead of trained ones and drawings instead of Cityscapes."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "full_size.md").read_text()
    [lines] = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)

    def load(path: str, _: str) -> Segmenter:
        config = upsnet(tiny_config()) if path.startswith("upsnet/") else tiny_config()
        return Segmenter(tiny_network(config).eval(), config, CATEGORIES, {}, torch.device("cpu"))

    monkeypatch.setattr(Segmenter, "load", load)
    monkeypatch.setattr("unipan.datasets.formats.cityscapes.cityscapes_split", lambda *_: Drawn([1]))
    exec(lines, {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [run for run, *_ in printed] == ["D", "B", "upsnet", "fpn"]
    assert printed[0][-1] == "1.0"
    assert all(float(figure) > 0 for _, *figures in printed for figure in figures)


def test_the_table() -> None:
    old = {"network": 10.0, "fusion": 5.0, "ratio": 1.5}  # before there were intervals
    facts = {"threads": 2, "machine": "a laptop", "device": "cpu", "iterations": 50}
    slower, faster = old | {"low": 1.2, "high": 1.7}, old | {"ratio": 0.8, "low": 0.7, "high": 0.9}
    timings = {"Ours": old, "UPSNet": slower, "Panoptic FPN": faster}
    text = render_speed({"facts": facts, "milliseconds": timings})
    assert "| Ours | the full model | 10.0 | 5.0 | 15.0 | 1.50 x | 197 | 1.00 x | – |" in text
    assert "| 15.0 | 1.50 x (1.20, 1.70) | 201 | 1.02 x | holds |" in text
    assert "| 15.0 | 0.80 x (0.70, 0.90) | 386 | 1.96 x | reversed |" in text
    assert Timing(**slower).total == 15
    # The same words as in the tables of records.
    words = "**smoke: too short to compare**"
    assert words not in text
    told = render_speed({"facts": facts | {"smoke": True}, "milliseconds": timings})
    assert told.replace(f"{words}\n\n", "") == text
