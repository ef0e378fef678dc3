"""Addresses and the rows of Parquet files as images: their ids, names and pixels. No Ray is needed for this."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unipan.cli import main
from unipan.panoptic.images import read_image
from unipan.prediction.images import ImageJob
from unipan.prediction.options import ClusterOptions
from unipan.prediction.parquet import is_remote, plan_remote
from unipan.prediction.remote import RemoteImage, fetched

pyarrow = pytest.importorskip("pyarrow", reason="no pyarrow: pip install 'unipan[ray]'")
parquet = pytest.importorskip("pyarrow.parquet")
ON_RAY = ClusterOptions(ray="")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Five pictures of one colour each, one of them in a folder below."""
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    paths = [tmp_path / "photos" / name for name in ("a.png", "b.jpg", "c d.png", "deep/e.png", "f.png")]
    for number, path in enumerate(paths):
        Image.new("RGB", (9, 8), (number * 40, 0, 0)).save(path)
    return paths


def write(path: Path, groups: int = 100, **columns: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), path, row_group_size=groups)
    return path


def red_of(job: ImageJob) -> int:
    with fetched(job) as (image, _):
        assert isinstance(image.picture, Path)
        return int(read_image(image.picture)[0, 0, 0])


@pytest.mark.parametrize("shape", ["bytes", "struct"])
@pytest.mark.parametrize("order", [range(5), (4, 0, 2, 2, 3)])
def test_rows_keep_their_ids_and_pictures_in_any_order(
    shape: str, order: tuple[int, ...], photos: list[Path], tmp_path: Path
) -> None:
    encoded: list[Any] = [path.read_bytes() for path in photos]
    if shape == "struct":  # as Hugging Face's datasets have it
        encoded = [{"bytes": each, "path": "x.png"} for each in encoded]
    table = write(tmp_path / "t.parquet", 2, image=encoded, id=[70, 60, 50, 40, 30], more=["x"] * 5)
    jobs, categories = plan_remote([table], None, ON_RAY)
    assert categories is None
    assert [(job.image_id, job.name) for job in jobs] == [(key, f"{key}.png") for key in (70, 60, 50, 40, 30)]
    for place in order:
        red = red_of(jobs[place])
        assert red == int(read_image(photos[place])[0, 0, 0])


def test_rows_that_say_where_their_pictures_are(photos: list[Path], tmp_path: Path) -> None:
    """Relative to the Parquet file, absolute, and by an address."""
    where = ["photos/a.png", str(photos[1]), f"file://{photos[2]}", "photos/deep/e.png", None]
    table = write(tmp_path / "t.parquet", where=where, key=list("vwxyz"))
    jobs, _ = plan_remote([table], None, ClusterOptions(ray="", image_column="where", id_column="key"))
    names = ["photos/a.png", "b.jpg", "c d.png", "photos/deep/e.png", "z.png"]
    assert [(job.image_id, job.name) for job in jobs] == list(zip("vwxyz", names, strict=True))
    assert [red_of(job) for job in jobs[:4] if isinstance(job, RemoteImage)] == [80]
    assert [job.picture for job in jobs if not isinstance(job, RemoteImage)] == [photos[0], photos[1], photos[3]]
    with pytest.raises(ValueError, match=r"row z: .*empty"):
        red_of(jobs[4])


@pytest.mark.parametrize("kind", ["file", "local"])  # pyarrow's own, and one that fsspec knows
def test_a_folder_at_an_address(kind: str, photos: list[Path], tmp_path: Path) -> None:
    space = "%20" if kind == "file" else " "
    jobs, _ = plan_remote([f"{kind}://{tmp_path}/photos/"], None, ON_RAY)
    assert [(job.image_id, job.name) for job in jobs] == list(
        enumerate(["a.png", "b.jpg", "c d.png", "deep/e.png", "f.png"], start=1)
    )
    assert [red_of(job) for job in jobs] == [int(read_image(path)[0, 0, 0]) for path in photos]
    assert jobs[0].source == f"{kind}://{tmp_path}/photos/a.png"
    one, _ = plan_remote([f"{kind}://{tmp_path}/photos/c{space}d.png"], None, ON_RAY)
    assert [(job.name, red_of(job)) for job in one] == [("c d.png", 80)]


def test_a_picture_that_changes_is_another_version(photos: list[Path], tmp_path: Path) -> None:
    address = f"file://{photos[0]}"
    before = plan_remote([address], None, ON_RAY)[0][0].version
    assert plan_remote([address], None, ON_RAY)[0][0].version == before
    Image.new("RGB", (20, 21)).save(photos[0])
    assert plan_remote([address], None, ON_RAY)[0][0].version != before


def test_what_goes_wrong_with_a_remote_picture_names_its_address(photos: list[Path], tmp_path: Path) -> None:
    job = plan_remote([f"file://{photos[0]}"], None, ON_RAY)[0][0]
    with fetched(job) as (image, in_words):
        local = image.picture
        assert in_words(f"{local}: not readable") == f"file://{photos[0]}: not readable"
    assert isinstance(local, Path)
    assert not local.parent.exists()
    photos[0].unlink()
    with fetched(job) as (image, _), pytest.raises(ValueError, match=r"a\.png: it cannot be fetched"):
        _ = image.picture


def test_ids_of_a_truth(photos: list[Path], tmp_path: Path) -> None:
    """Rows find their image by its id, pictures by their name."""
    like = tmp_path / "gt.json"
    like.write_text(
        '{"categories": [{"id": 1, "name": "road", "isthing": 0}],'
        ' "images": [{"id": 7, "file_name": "x/a.png"}, {"id": 8, "file_name": "deep/e.png"}]}'
    )
    table = write(tmp_path / "t.parquet", image=[path.read_bytes() for path in photos[:2]], id=[8, 7])
    jobs, categories = plan_remote([table], like, ON_RAY)
    assert [(job.image_id, job.name) for job in jobs] == [(8, "deep/e.png"), (7, "x/a.png")]
    assert categories is not None
    jobs, _ = plan_remote([f"file://{photos[3]}", f"file://{photos[0]}"], like, ON_RAY)
    assert [(job.image_id, job.name) for job in jobs] == [(8, "deep/e.png"), (7, "x/a.png")]
    write(table, image=[b"x"], id=[9])
    with pytest.raises(ValueError, match=r"gt\.json.* image 9"):
        plan_remote([table], like, ON_RAY)


Change = Callable[[Path], dict[str, Any]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": [1]}, "--image-column image: .* the columns id"),
        ({"image": [b"x"]}, "--id-column id: .* the columns image"),
        ({"id": [1, 1], "image": [b"x", b"y"]}, "the id 1 is there twice"),
        ({"id": [1.5], "image": [b"x"]}, r"t\.parquet: `id` has 1\.5"),
        ({"id": [None], "image": [b"x"]}, r"t\.parquet: `id` has None"),
        ({"id": [1], "image": [3]}, "--image-column image: .* int64"),
        ({"id": ["../a"], "image": [b"x"]}, "leads out"),
        ({"id": np.zeros(0, int), "image": pyarrow.array([], pyarrow.binary())}, "there are no rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(columns: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        plan_remote([write(tmp_path / "t.parquet", **columns)], None, ON_RAY)


def test_what_is_no_table_and_no_store(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 cut")
    (tmp_path / "empty").mkdir()
    for given, words in (
        (tmp_path / "broken.parquet", r"broken\.parquet: not a readable Parquet file"),
        (f"file://{tmp_path}/empty", "no images in this folder"),
        ("http://photos.example/a.png", "download it first"),
        ("nowhere://x/y", "this store cannot be opened"),
        (f"file://{tmp_path}/*.png", "give the folder"),
    ):
        with pytest.raises(ValueError, match=words):
            plan_remote([given], None, ON_RAY)
    with pytest.raises(FileNotFoundError, match=r"nothing\.parquet"):
        plan_remote([tmp_path / "nothing.parquet"], None, ON_RAY)
    write(tmp_path / "photos" / "t.parquet", id=[1], image=[b"x"])
    assert is_remote([tmp_path / "photos" / "t.parquet", "s3://bucket/folder"])
    assert not is_remote([tmp_path / "photos"])  # which has pictures
    (tmp_path / "photos" / "t.parquet").rename(tmp_path / "empty" / "t.parquet")
    assert is_remote([tmp_path / "empty"])
    with pytest.raises(ValueError, match="run once for each"):
        is_remote([photos[0], "s3://bucket/folder"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--id-column", "key"], "--ray"),
        (["--ray", "--ray-workers", "-1"], "--ray-workers -1"),
        (["s3://bucket/folder", "--ray"], "run once for each"),
    ],
)
def test_options_of_a_cluster_are_checked_first(
    more: list[str], words: str, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "scenes", str(photos[0]), *more, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_results_go_to_no_address(photos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "scenes", str(photos[0]), "--ray", "--out", "s3://bucket/out"]) == 1
    assert "--out s3://bucket/out: this is an address" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed here")
def test_without_ray_it_is_one_sentence(photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "scenes", str(photos[0]), "--ray", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1] == 'unipan: this needs ray: pip install "unipan[ray]"'
    assert not (tmp_path / "out").exists()


def test_ray_that_does_not_start_is_one_sentence(
    photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine Ray 2.60 gives up after 30 seconds, with a plain Exception."""

    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    ray, data = ModuleType("ray"), ModuleType("ray.data")
    vars(ray).update(init=init, is_initialized=lambda: False, data=data)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", data)
    assert main(["predict", "scenes", str(photos[0]), "--ray", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("unipan: --ray: Ray did not start on this machine (The current node timed out")
    assert main(["predict", "scenes", str(photos[0]), "--ray", "10.0.0.1:6379", "--out", str(tmp_path / "out")]) == 1
    assert "there is no Ray cluster to join" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
