"""`unipan pq` from its arguments to its files."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.html_pages import CHROMIUM, dom_of
from tests.tiny import CATEGORIES, draw
from unipan.commands.pq import main
from unipan.datasets.formats.coco_panoptic import CocoPanoptic, PanopticWriter
from unipan.evaluation.score_files import score_json
from unipan.panoptic.maps import PanopticMap, panoptic_map


def shifted(truth: PanopticMap, by: int, drop: int = 0) -> PanopticMap:
    """The truth moved to the right, without its first things."""
    gone = [segment.id for segment in truth if segment.isthing][:drop]
    ids = np.roll(truth.ids, by, axis=1)
    ids[np.isin(ids, gone)] = 0
    return panoptic_map(ids, {s.id: s.category for s in truth if s.id not in gone})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Truth and two predictions of three images, each a JSON with the PNGs next to it."""
    root = tmp_path_factory.mktemp("pq")
    for name, by, drop in (("truth", 0, 0), ("good", 1, 0), ("bad", 3, 1)):
        writer = PanopticWriter(root / name, CATEGORIES)
        for seed in range(3):
            sample = draw(seed, things=4)
            writer.add(sample.name, seed, shifted(sample.truth, by, drop))
        writer.close()
    return root


def run(folder: Path, *options: str, prediction: str = "good") -> int:
    return main([str(folder / "truth/panoptic.json"), str(folder / f"{prediction}/panoptic.json"), *options])


def test_every_option_at_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(folder / "bad/panoptic.json")
    out = {name: str(tmp_path / name) for name in ("a.json", "a.csv", "page")}
    code = run(folder, "--json", out["a.json"], "--csv", out["a.csv"], "--html", out["page"], "--explain",
               "--trim-stuff", "100000", "--versus", other)  # fmt: skip
    assert code == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["official"] == found["strict"]
    assert found["difference"]["All"]["low"] > 0
    assert "clear of zero" in said
    assert found["extra_metrics"]["errors"]["repaired"]["All"] == 1.0
    assert "all repaired: PQ 100.0" in said
    assert found["trim_stuff"]["untrimmed"]["pq"] == pytest.approx(found["strict"]["Stuff"]["pq"])
    assert found["trim_stuff"]["trimmed"]["pq"] == 0.0
    assert found["trim_stuff"]["groups"]["Things"]["pq"] == pytest.approx(found["strict"]["Things"]["pq"])
    assert found["trim_stuff"]["groups"]["Stuff"]["pq"] == 0.0
    with (tmp_path / "a.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert (tmp_path / "page" / "index.html").read_text().count("<article") == 3
    assert (tmp_path / "page" / "images.csv").read_text() == (tmp_path / "a.csv").read_text()


def test_threads_do_not_change_a_bit(folder: Path, tmp_path: Path) -> None:
    for threads in ("1", "3"):
        file = str(tmp_path / f"{threads}.json")
        assert run(folder, "--threads", threads, "--explain", "--trim-stuff", "9", "--json", file) == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "3.json").read_bytes()


def test_a_missing_prediction_stops_or_counts_as_an_empty_map(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((folder / "good/panoptic.json").read_text())
    content["annotations"].pop()
    (folder / "good" / "fewer.json").write_text(json.dumps(content))
    arguments = [str(folder / "truth/panoptic.json"), str(folder / "good/fewer.json")]
    arguments += ["--pred-folder", str(folder / "good/panoptic"), "--html", str(tmp_path / "page")]
    assert main(arguments) == 1
    assert "no prediction for drawn_2.png" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
    assert main([*arguments, "--lenient", "--explain"]) == 0
    said = capsys.readouterr()
    assert "lenient: " in said.err
    assert (tmp_path / "page" / "index.html").read_text().count("<article") == 3


def test_no_page_is_written_among_the_photographs(folder: Path, tmp_path: Path) -> None:
    """Which it takes from beside the ground truth, without being told."""
    place = tmp_path / "images"
    shutil.copytree(folder / "truth", tmp_path, dirs_exist_ok=True)
    place.mkdir()
    (place / "drawn_0.jpg").touch()
    for page in (place, place / "page"):
        with pytest.raises(ValueError, match=r"--html .*images"):
            main([str(tmp_path), str(folder / "good"), "--html", str(page)])
    assert [each.name for each in place.iterdir()] == ["drawn_0.jpg"]
    for _ in range(2):  # a page of ours is no folder of photographs
        assert main([str(tmp_path), str(folder / "good"), "--html", str(tmp_path / tmp_path.name)]) == 0


def test_what_cannot_work_is_said_before_the_work(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"--html .*file is a file"):
        run(folder, "--html", str(tmp_path / "file"))
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(FileNotFoundError, match=r"pipe.json: this is a pipe or a device; give a COCO panoptic JSON"):
        score_json(tmp_path / "pipe.json")
    (tmp_path / "odd" / "index.html").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"--html .*a folder of this name is there"):
        run(folder, "--html", str(tmp_path / "odd"))
    with pytest.raises(ValueError, match=r"--csv .*a folder of this name is there"):
        run(folder, "--csv", str(tmp_path))
    for option, most in (("--trim-stuff", 10**12), ("--threads", 10**6)):
        with pytest.raises(ValueError, match=f"{option}: -1 is not a whole number from 0 to {most}"):
            run(folder, option, "-1")


@pytest.mark.parametrize("option", ["--json", "--csv"])
@pytest.mark.parametrize("side", ["truth", "good", "bad"])
def test_what_is_read_is_never_written(folder: Path, option: str, side: str) -> None:
    file = folder / side / "panoptic.json"
    before = file.read_bytes()
    with pytest.raises(ValueError, match=rf"{option} .*this file is an input"):
        run(folder, option, str(file.parent / "panoptic" / ".." / "panoptic.json"), "--versus", str(folder / "bad"))
    assert file.read_bytes() == before


def changed(folder: Path, name: str, **fields: object) -> str:
    """The good prediction's JSON with other fields."""
    content = json.loads((folder / "good/panoptic.json").read_text()) | fields
    file = folder / "good" / name
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return str(file)


def test_predictions_of_any_model_need_no_categories(folder: Path, tmp_path: Path) -> None:
    rows = CATEGORIES.to_coco()
    whole = [str(folder / "truth"), str(folder / "good"), "--json", str(tmp_path / "whole.json")]
    assert main(whole) == 0
    bare = [{"id": row["id"], "name": row["name"]} for row in rows[:2]]
    for number, categories in enumerate([None, [], bare]):
        file = changed(folder, f"categories-{number}.json", categories=categories)
        options = ["--pred-folder", str(folder / "good/panoptic"), "--json", str(tmp_path / "other.json")]
        assert main([str(folder / "truth"), file, *options]) == 0
        assert (tmp_path / "other.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    wrong = changed(folder, "wrong.json", categories=[rows[0] | {"name": "something else"}])
    with pytest.raises(ValueError, match="category id 7 is 'something else' there but 'disc' in"):
        main([str(folder / "truth"), wrong, "--pred-folder", str(folder / "good/panoptic")])


def test_ids_of_another_kind_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads((folder / "good/panoptic.json").read_text())["annotations"]
    file = changed(folder, "text.json", annotations=[row | {"image_id": str(row["image_id"])} for row in rows])
    assert main([str(folder / "truth"), file, "--pred-folder", str(folder / "good/panoptic")]) == 1
    said = capsys.readouterr().err
    assert "no prediction for drawn_0.png and 2 more (it has predictions for image '0' and 2 more, unknown" in said
    assert "--lenient" in said


def test_absurd_numbers_and_depths_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    truth = json.loads((folder / "truth/panoptic.json").read_text())
    truth["annotations"][0]["segments_info"][0]["area"] = 10**400
    (folder / "truth" / "huge.json").write_text(json.dumps(truth))
    options = ["--gt-folder", str(folder / "truth/panoptic"), "--json", str(tmp_path / "a.json")]
    assert main([str(folder / "truth/huge.json"), str(folder / "good"), *options]) == 0
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["official"] is None
    assert "area" in found["official_reason"]
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"deep\.json: its lists or objects are nested too deeply"):
        main([str(tmp_path / "deep.json"), str(folder / "good")])


def test_official_needs_no_area_of_what_it_never_reads(folder: Path, tmp_path: Path) -> None:
    truth = json.loads((folder / "truth/panoptic.json").read_text())
    for annotation in truth["annotations"]:
        for row in annotation["segments_info"]:
            if row["category_id"] in (3, 7):
                row["iscrowd"] = 1
                del row["area"]
    (folder / "truth" / "crowds.json").write_text(json.dumps(truth))
    options = ["--gt-folder", str(folder / "truth/panoptic"), "--json", str(tmp_path / "a.json")]
    assert main([str(folder / "truth/crowds.json"), str(folder / "good"), *options]) == 0
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["official"] is not None
    assert found["official"]["Stuff"] == found["strict"]["Stuff"]


def test_stale_areas_show_in_the_official_figures_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((folder / "truth/panoptic.json").read_text())
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment["area"] //= 2
    (folder / "truth" / "stale.json").write_text(json.dumps(content))
    arguments = ["--gt-folder", str(folder / "truth/panoptic"), "--json", str(folder / "stale-scores.json")]
    assert main([str(folder / "truth/stale.json"), str(folder / "good/panoptic.json"), *arguments]) == 0
    stale = json.loads((folder / "stale-scores.json").read_text())
    assert run(folder, "--json", str(folder / "scores.json")) == 0
    sound = json.loads((folder / "scores.json").read_text())
    assert stale["strict"] == sound["strict"] == sound["official"]
    assert stale["official"]["All"]["pq"] > sound["official"]["All"]["pq"]
    assert "official" in capsys.readouterr().out


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["coco20", "facades/val", "nuclei/val"])
def test_photographs_from_files_to_page(shared_data: Path, tmp_path: Path, name: str) -> None:
    """A disturbed copy of the truth through every option, and hotcoco's figure on the same files."""
    source = shared_data / name
    data = CocoPanoptic(source)
    with PanopticWriter(tmp_path / "moved", data.categories) as writer:
        for index, image_id in enumerate(data.image_ids):
            truth = data.truth(index)
            things = [segment.id for segment in truth if segment.isthing][::5]
            ids = np.roll(truth.ids, 2, axis=1)
            ids[np.isin(ids, things)] = 0
            present = set(np.unique(ids).tolist())
            kept = {s.id: s.category for s in truth if s.id in present and not s.iscrowd}
            writer.add(data.names[index], image_id, panoptic_map(np.where(np.isin(ids, list(kept)), ids, 0), kept))
    json_file, page = tmp_path / "a.json", tmp_path / "page"
    options = ["--gt-folder", str(source / "panoptic"), "--json", str(json_file), "--html", str(page), "--explain"]
    options += ["--trim-stuff", "4096", "--csv", str(tmp_path / "a.csv"), "--versus", str(tmp_path / "moved")]
    assert main([str(source), str(tmp_path / "moved"), *options]) == 0
    found = json.loads(json_file.read_text())
    places = [
        source / "panoptic.json",
        tmp_path / "moved/panoptic.json",
        source / "panoptic",
        tmp_path / "moved/panoptic",
    ]
    other = pytest.importorskip("hotcoco").panoptic.pq_compute(*map(str, places))
    assert found["official"]["All"]["pq"] == pytest.approx(other["All"]["pq"], abs=1e-9)
    assert found["difference"]["All"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert found["extra_metrics"]["errors"]["repaired"]["All"] == 1.0
    with (tmp_path / "a.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(data)
    shown = min(len(data), 50)
    if CHROMIUM:
        assert f"4 of {shown} shown" in dom_of(page / "index.html", tmp_path / "profile")
    assert (page / "index.html").read_text().count("<article") == shown


@pytest.fixture(scope="module")
def shards(folder: Path) -> list[str]:
    """The good prediction in two folders, images 0 and 2 in the first."""
    for name, seeds in (("shard0", (0, 2)), ("shard1", (1,))):
        with PanopticWriter(folder / name, CATEGORIES) as writer:
            for seed in seeds:
                sample = draw(seed, things=4)
                writer.add(sample.name, seed, shifted(sample.truth, 1))
    return [str(folder / name) for name in ("shard0", "shard1")]


def test_shards_score_as_the_whole_does(
    folder: Path, shards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--explain", "--trim-stuff", "9", "--versus", str(folder / "bad")]
    found = []
    for name, predictions in (("whole", [str(folder / "good")]), ("shards", shards), ("turned", shards[::-1])):
        files = ["--json", str(tmp_path / f"{name}.json"), "--csv", str(tmp_path / f"{name}.csv")]
        assert main([str(folder / "truth"), *predictions, *more, *files, "--html", str(tmp_path / name)]) == 0
        found.append([(tmp_path / f"{name}.{ending}").read_bytes() for ending in ("json", "csv")])
    assert found[0] == found[1] == found[2]
    said = capsys.readouterr().out
    assert f"{shards[0]}/panoptic.json, {shards[1]}/panoptic.json against" in said.replace("\n", " ")


def test_an_image_in_two_shards_or_in_none_is_named(
    folder: Path, shards: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    truth, name = str(folder / "truth"), draw(0, things=4).name
    for predictions, words in (
        ([*shards, str(folder / "good")], f"({name}) is in {shards[0]}/panoptic.json too; every image counts once"),
        ([shards[0], shards[0]], f"({name}) is in {shards[0]}/panoptic.json too; every image counts once"),
        ([shards[1], str(folder / "good")], f"({draw(1, things=4).name}) is in {shards[1]}/panoptic.json too"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            main([truth, *predictions])
    (folder / "empty.json").write_text('{"annotations": []}')
    assert main([truth, shards[0], str(folder / "empty.json")]) == 1
    said = capsys.readouterr().err
    assert f"{shards[0]}/panoptic.json, {folder}/empty.json: no prediction for drawn_1.png" in said
    with pytest.raises(ValueError, match=r"--pred-folder .* it is for one"):
        main([truth, *shards, "--pred-folder", shards[0]])
