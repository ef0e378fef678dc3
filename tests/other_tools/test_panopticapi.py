"""The official figure against the official code, panopticapi-lite, which needs numpy below 2."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evaluation.cases import random_pair
from tests.evaluation.test_panoptic_quality import assert_equal, has_two_crowds, write
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders

CODE = """
import json, sys
from panopticapi.evaluation import pq_compute
if __name__ == "__main__":
    print("RESULT", json.dumps({k: v for k, v in pq_compute(*sys.argv[1:]).items() if k != "per_class"}))
"""


@pytest.mark.parametrize("stale", [False, True])
def test_the_official_figure_is_that_of_the_official_code(
    python_of: Callable[[str], str], stale: bool, tmp_path: Path
) -> None:
    pairs = [random_pair(seed, size=16) for seed in range(60)]
    assert any(has_two_crowds(truth) for truth, _ in pairs)
    truth = write(tmp_path / "truth", [each for each, _ in pairs], scores=False) / "panoptic.json"
    prediction = write(tmp_path / "prediction", [each for _, each in pairs], scores=True) / "panoptic.json"
    if stale:
        content = json.loads(truth.read_text())
        for annotation in content["annotations"]:
            for row in annotation["segments_info"]:
                row["area"] += 3
        truth.write_text(json.dumps(content))
    (tmp_path / "official.py").write_text(CODE)
    command = [python_of("panopticapi"), str(tmp_path / "official.py"), str(truth), str(prediction)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    official = json.loads(done.stdout.split("RESULT ")[1])
    wanted = {group: tuple(each[key] for key in ("pq", "sq", "rq", "n")) for group, each in official.items()}
    scores = score_folders(PanopticFolders(truth, prediction))
    assert not scores.problems
    assert_equal(scores.quality.official(), wanted)
