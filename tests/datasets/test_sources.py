"""What DATA and DEVICE mean, and what is said of them."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.datasets.formats.test_cityscapes import write_cityscapes
from tests.datasets.maps import CLASSES, small_map, write_dataset
from tests.tiny import CATEGORIES, Drawn
from unipan.config import DataConfig
from unipan.datasets.formats.coco_panoptic import CocoPanoptic, write_coco_panoptic
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.datasets.panoptic_data import Subset
from unipan.datasets.sources import hold_out, open_data, open_training, paths_read, require_data, use_window
from unipan.inference import open_segmenter
from unipan.panoptic.categories import Categories


def written(folder: Path, categories: Categories) -> str:
    data = Drawn([2, 2])
    write_coco_panoptic(folder, (data[index] for index in range(2)), categories)
    return str(folder)


def test_validation_wants_the_same_classes_in_any_order(tmp_path: Path) -> None:
    disc, box, sky, ground = CATEGORIES
    one = written(tmp_path / "one", CATEGORIES)
    reordered = written(tmp_path / "reordered", Categories((box, disc, ground, sky)))
    _, val, _ = open_training(one, reordered)
    assert [category.name for category in val.categories] == ["box", "disc", "ground", "sky"]
    other = written(tmp_path / "other", Categories((disc, box, sky, ground, replace(ground, id=77, name="mud"))))
    with pytest.raises(ValueError, match=r"stuff sky, ground, mud, but .*list the same ones"):
        open_training(one, other)


def test_notes_speak_of_all_the_seeds() -> None:
    assert open_data("scenes")[1] == "200 scenes, seeds 1000000..1000199, never used in training"
    assert open_data("scenes:989999-1000000")[1].endswith(
        "1 of them SEEN in training, 100 of them validated on in training"
    )
    assert open_training("scenes:0-9", None)[2].endswith("from 1000000 on: held out")
    assert open_training("scenes:0-9", "scenes:1000000-1000009")[2].endswith("from 1000010 on: held out")


@pytest.mark.parametrize("device", ["foo", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_said_before_the_checkpoint_is_opened(device: str) -> None:
    with pytest.raises(ValueError, match=f"--device {device}: torch cannot compute there; here is cpu"):
        open_segmenter("nowhere", device)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_segmenter("nowhere", "cpu")


@pytest.mark.parametrize(("there", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch, there: bool, chosen: str) -> None:
    asked = []

    def on_device(*_: object, device: str) -> torch.Tensor:
        asked.append(device)
        return torch.empty(1)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch, "zeros", on_device)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_segmenter("nowhere", "auto")
    assert set(asked) == {chosen}


def test_cuda_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_cuda(*_: object, **__: object) -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch, "zeros", without_cuda)
    with pytest.raises(ValueError, match="--device cuda: torch cannot compute there"):
        open_segmenter("nowhere", "cuda")


def test_cityscapes_as_downloaded_trains_on_train_and_validates_on_val(tmp_path: Path) -> None:
    root = write_cityscapes(tmp_path)
    for source in (str(root), f"cityscapes:{root}", str(root / "gtFine")):
        data, val, note = open_training(source, None)
        assert (len(data), len(val)) == (1, 3)
        assert "gtFine/train, validate on 3 images of" in note
    data, note = open_data(str(root))
    assert (len(data), note) == (3, f"3 images of {root / 'gtFine' / 'val'}")
    assert data[0].image.shape[:2] == data[0].truth.ids.shape
    assert len(open_data(str(root / "gtFine" / "train"))[0]) == 1
    data, val, _ = open_training(str(root / "gtFine" / "val"), None)  # one split: every tenth image is held out
    assert (len(data), len(val)) == (2, 1)
    assert len(open_training(str(root / "gtFine" / "val"), str(root / "gtFine" / "train"))[1]) == 1


@pytest.mark.parametrize(("count", "run"), [(39, 1), (40, 2), (100, 5), (200, 10), (1000, 10)])
def test_neighbouring_frames_are_held_out_together(count: int, run: int) -> None:
    """A tenth in all, and at most two of a run have a neighbour in training."""
    names = [f"clip/{5 * frame}.png" for frame in reversed(range(count))]
    entries = [Entry(n, name, None, small_map) for n, name in enumerate(names)]
    rest, val, note = hold_out(ListedDataset(Path("videos"), CLASSES, entries), "videos")
    assert isinstance(rest, Subset)
    assert isinstance(val, Subset)
    assert sorted([*rest.indices, *val.indices]) == list(range(count))
    assert abs(len(val) - count / 10) <= run
    frames = sorted(int(names[index][5:-4]) // 5 for index in val.indices)
    runs = [list(group) for _, group in itertools.groupby(enumerate(frames), lambda pair: pair[1] - pair[0])]
    assert {len(each) for each in runs} == {run}
    assert (f"in runs of {run}, as they are numbered like the frames of a video" in note) == (run > 1)


def test_images_that_are_no_series_are_held_out_singly() -> None:
    rng = np.random.default_rng(0)
    for names in (
        [f"{number:012d}.jpg" for number in rng.choice(600_000, 60, replace=False)],
        [f"photo {chr(97 + n // 26)}{chr(97 + n % 26)}.jpg" for n in range(60)],
    ):
        data = ListedDataset(Path("x"), CLASSES, [Entry(n, name, None, small_map) for n, name in enumerate(names)])
        assert [*hold_out(data, "x")[1].indices] == [0, 10, 20, 30, 40, 50]  # type: ignore[attr-defined]


def test_data_by_format_need_their_photographs(tmp_path: Path) -> None:
    written(tmp_path / "set", CATEGORIES)
    assert len(open_data(f"coco:{tmp_path / 'set'}")[0]) == 2
    with pytest.raises(ValueError, match=r"panoptic\.json: there is no image for drawn_0\.png"):
        open_data(f"coco:{tmp_path / 'set' / 'panoptic.json'}")
    with pytest.raises(ValueError, match="there is no format 'pascal' here"):
        open_data("pascal:somewhere")


def test_a_dataset_may_be_named_by_its_json(tmp_path: Path) -> None:
    whole = written(tmp_path / "set", CATEGORIES)
    named = f"{whole}/panoptic.json"
    require_data(named)
    assert len(open_data(named)[0]) == 2
    assert paths_read(named) == paths_read(whole)
    other = (tmp_path / "set" / "panoptic.json").rename(tmp_path / "train 1.json")
    for read in (require_data, open_data, paths_read):
        with pytest.raises(ValueError, match=rf"unipan data convert '{other}' TO --images"):
            read(str(other))


def test_a_dataset_reads_deep_images_as_the_configuration_says(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set")
    values = np.arange(96, dtype=np.uint16).reshape(8, 12)
    Image.fromarray(values).save(folder / "images" / "0.png")
    data = CocoPanoptic(folder)
    assert data[0].image.max() == 0  # 95 of 65535
    use_window(Subset(data, [0]), DataConfig(window=(0.0, 100.0)))
    assert (data[0].image[..., 0] == np.rint(values / 95 * 255)).all()
    use_window(data, DataConfig())
    assert data[0].image.max() == 0


def test_a_format_that_is_recognised_is_named(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(
        "<annotations><image name='a.jpg' width='9' height='9'><box label='a'/></image></annotations>"
    )
    with pytest.raises(FileNotFoundError, match=r"unipan data convert cvat:.*--boxes paint.*--background"):
        require_data(str(tmp_path))


def test_options_of_the_conversion_are_said_to_be_its_own(tmp_path: Path) -> None:
    """`evaluate` and `train` have no --classes."""
    (tmp_path / "panoptic").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "panoptic" / "a.png")
    with pytest.raises(FileNotFoundError, match=r"write it, or give --classes FILE: .*those of `unipan data convert`$"):
        open_data(f"png16:{tmp_path}")
