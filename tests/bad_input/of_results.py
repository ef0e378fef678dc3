"""`Scene.edit`, what a `PanopticResult` turns into, and `unipan.PanopticQuality`; and photographs for `unipan pq`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import unipan
from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import HUGE, PICTURES, in_place_of, on_file
from tests.bad_input.of_python import ODD, arguments
from tests.bad_input.of_scores import BASE as PQ

BOXES, SCORES, CLASSES = [[4.0, 4.0, 30.0, 30.0], [10.0, 2.0, 60.0, 50.0]], [0.9, 0.5], [0, 1]
NAN, INF = float("nan"), float("inf")


def result_cases() -> Iterator[Case]:
    yield from _edits()
    yield from _conversions()
    yield from _qualities()
    yield from _photographs()


def _edits() -> Iterator[Case]:
    def edited(boxes: Any = BOXES, scores: Any = SCORES, classes: Any = CLASSES) -> str:
        scene = unipan.Segmenter.load("net.safetensors").scene("photo.png")
        return f"{len(scene.edit(boxes, scores, classes).result())} segments"

    base = Case(
        "Scene.edit", AS_IT_IS, uses=("net.safetensors", "photo.png"), torch=True, names="edit: ",
        call=lambda _: edited(),
    )  # fmt: skip
    yield base
    odd: dict[str, tuple[Any, ...]] = {
        "boxes": (
            None, "x", 3, [], [[]], [[1, 2, 3]], [[1, 2, 3, 4, 5]] * 2, [["a"] * 4] * 2, [[1, 2, 3, 4], [1]], {}, len,
            [[NAN, 0, 9, 9]] * 2, [[0, 0, INF, 9]] * 2, [[-9, -9, -1, -1]] * 2, [[30, 30, 4, 4]] * 2,
            [[5, 5, 5, 9]] * 2,
            [[-HUGE, -HUGE, HUGE, HUGE]] * 2, [[1e308] * 4] * 2, [[0, 0, 1e-30, 1e-30]] * 2, np.zeros((2, 4), complex),
            np.zeros((0, 4)), [[0, 0, 9, 9]] * 2, [[0, 0, 1 + 1e-6, 1]] * 2, "texts", [[True, True, 9, 9]] * 2,
        ),
        "scores": (
            None, "x", 3, [], [1], [1, 2, 3], [NAN, 1], [INF, 1], [-0.1, 1], [1.1, 1], ["0.5", "0.5"], [[0.5], [0.5]],
            [HUGE, 1], [True, False], [1 + 1e-9, 1], [None, 1], {}, np.array([0.5, 0.5], complex),
        ),
        "classes": (
            None, "x", 3, [], [0], [0, 1, 2], [NAN, 0], [INF, 0], [-1, 0], [0.5, 0], [99, 0], [HUGE, 0], ["0", "1"],
            ["car", "person"], [[0], [1]], [True, False], [None, 0], {}, [2**31, 0], [1e18, 0],
        ),
    }  # fmt: skip
    for name, values in odd.items():
        for number, value in [*enumerate(values)][::2]:
            shown = f"{value!r}".replace("\n", "")[:30].partition(" at 0x")[0]
            yield replace(
                base, name=f"{name}: {number} {shown}", call=lambda _, n=name, v=value: edited(**{n: v}),
                names="edit: |edit(",
            )  # fmt: skip


def made(**changed: Any) -> Any:
    """A result of `fuse`, some of whose parts are others."""
    return replace(unipan.fuse(**arguments(), image=np.zeros((12, 16, 3), np.uint8)), **changed)


def _conversions() -> Iterator[Case]:
    base = Case("PanopticResult", AS_IT_IS, names="", call=lambda _: told("to_coco"))

    def told(method: str, *given: Any, **parts: Any) -> str:
        found = getattr(made(**parts), method)(*given)
        return f"{type(found).__name__} {len(found)}" if hasattr(found, "__len__") else type(found).__name__

    yield base
    quiet = (
        "to_coco",
        "to_geojson",
        "to_labelme",
        "to_napari",
        "table",
        "overlay",
        "png_bytes",
        "_repr_png_",
        "_repr_html_",
    )
    parts: dict[str, dict[str, Any]] = {
        "without segments": {"segments": (), "ids": np.zeros((12, 16), np.int32)},
        "without name": {"name": ""},
        "a name with a NUL": {"name": "a\0b.png"},
        "a name of 5000 letters": {"name": "n" * 5000},
        "a name that leads out": {"name": "../../x.png"},
        "a name that is markup": {"name": "<script>alert(1)</script>"},
        "a name with half a character": {"name": "\udcff.png"},
    }
    for method in quiet:
        for name, changed in [*parts.items()][len(method) % 2 :: 2]:
            yield replace(
                base, name=f"{method}: {name}", names="name|image",
                call=lambda _, method=method, changed=changed: told(method, **changed),
            )  # fmt: skip
    for key in (None, NAN, [], {}, 1.5, HUGE, "x", True):
        yield replace(
            base, name=f"to_coco: image_id={key!r}"[:30], call=lambda _, key=key: told("to_coco", key), names="image_id"
        )
    for alpha in (NAN, -1, 2, "x", None, HUGE):
        yield replace(
            base, name=f"overlay: alpha={alpha!r}"[:30], call=lambda _, a=alpha: told("overlay", a), names="alpha"
        )  # fmt: skip
    yield replace(base, name="margin of no argmax", names="margin", call=lambda _: made().margin)
    yield from _saved(base)


def _saved(base: Case) -> Iterator[Case]:
    for method, right in (("save", "a.png"), ("save_ids", "a.png"), ("save_labels", "a.tif")):
        end = Path(right).suffix
        for path in (
            right, "", ".", "a", "a.txt", "a.jpg", "a.PNG", f"gone/deep/{right}", f"text.txt/{right}", "folder.png",
            "folder.tif", "/dev/null", f"/proc/x/{right}", "n" * 300 + end, f"a\0b{end}", None, 3,
        ):  # fmt: skip
            names = f"{method}|{str(path)[:40]}|path|null|PathLike"
            yield replace(
                base, name=f"{method}: {path!r}"[:40], uses=("text.txt",), names=names,
                change=lambda folder: [(folder / f"folder{end}").mkdir() for end in (".png", ".tif")],
                makes=("a.png", "a.tif", "a.jpg", "a.PNG", "gone"),
                call=lambda _, method=method, path=path: getattr(made(), method)(path),
            )  # fmt: skip


ROWS = [{"id": 7, "name": "cat", "isthing": 1}, {"id": 9, "name": "sky", "isthing": 0}]
TRUTH = (np.array([[1, 1, 2, 2]]), [{"id": 1, "category_id": 7}, {"id": 2, "category_id": 9}])


def _qualities() -> Iterator[Case]:
    def quality(*pairs: Any, categories: Any = ..., **options: Any) -> str:
        known = unipan.Categories.from_coco(ROWS) if categories is ... else categories
        metric = unipan.PanopticQuality(known)
        for truth, prediction in pairs:
            metric.update(truth, prediction, **options)
        found = metric.compute()["All"]
        return "PQ null" if found is None else f"PQ {found.pq:.4f}"

    base = Case(
        "PanopticQuality", AS_IT_IS, names="panoptic|#0000|truth|prediction", call=lambda _: quality((TRUTH, TRUTH))
    )
    yield base
    yield replace(base, name="no image", call=lambda _: quality())
    ids, rows = TRUTH
    maps: dict[str, Any] = {
        **ODD,
        "another size": (np.ones((2, 2), int), [{"id": 1, "category_id": 7}]),
        "no pixels": (np.zeros((0, 0), int), []),
        "all void": (np.zeros((1, 4), int), []),
        "one axis": (np.ones(4, int), rows),
        "halves": (ids + 0.5, rows),
        "NaN ids": (ids * NAN, rows),
        "infinite ids": (ids * INF, rows),
        "floats that are whole": (ids * 1.0, rows),
        "huge ids": (ids.astype(object) * HUGE, rows),
        "ids above 24 bits": (ids * 2**24, [{"id": 2**24, "category_id": 7}, {"id": 2**25, "category_id": 9}]),
        "unsigned 64 bits": ((ids * 2**40).astype(np.uint64), rows),
        "negative ids": (-ids, []),
        "booleans": (ids > 1, [{"id": 1, "category_id": 7}]),
        "an id without row": (ids, rows[:1]),
        "a row without pixels": (ids, [*rows, {"id": 5, "category_id": 7}]),
        "a row twice": (ids, [*rows, rows[0]]),
        "a row twice, of two classes": (ids, [*rows, {"id": 1, "category_id": 9}]),
        "an unknown class": (ids, [{"id": 1, "category_id": 8}, rows[1]]),
        "segments None": (ids, None),
        "segments a number": (ids, 3),
        "segments text": (ids, "ab"),
        "segments of None": (ids, [None]),
        "segments of texts": (ids, ["a"]),
        "a row without id": (ids, [{"category_id": 7}]),
        "a row without class": (ids, [{"id": 1}]),
        "a triple": (ids, rows, 1),
        "a dictionary of nothing": {},
        "a dictionary with numbers as keys": {1: 2},
        "a dictionary without map": {"segments_info": rows},
        "three channels": np.ones((2, 2, 3), int),
        "pairs of halves": np.full((1, 4, 2), 0.5),
        "pairs of unknown classes": np.full((1, 4, 2), 5),
        "pairs of huge numbers": np.full((1, 4, 2), 2**62),
        "pairs without pixels": np.zeros((0, 0, 2), int),
    }
    for field, values in {
        "id": (None, "x", "1", 1.5, NAN, INF, [], HUGE, True), "category_id": (None, "x", "7", 7.5, NAN, [], HUGE, INF),
        "score": (None, "x", NAN, -1, HUGE, []), "iscrowd": (None, "x", "0", 2, []),
    }.items():  # fmt: skip
        for value in values:
            maps[f"{field}={value!r}"[:24]] = (ids, [{**rows[0], field: value}, rows[1]])
    for name, value in maps.items():
        yield replace(base, name=f"prediction: {name}", call=lambda _, v=value: quality((TRUTH, v)))
    for name in [*maps][::4]:
        yield replace(base, name=f"truth: {name}", call=lambda _, v=maps[name]: quality((v, TRUTH)))
    for value in (None, "x", [], ROWS, 3):
        yield replace(
            base,
            name=f"categories={value!r}"[:24],
            call=lambda _, v=value: quality(categories=v),
            names="PanopticQuality",
        )
    for value in ("", 3, [], NAN, "\x1b[31m"):
        yield replace(
            base, name=f"name={value!r}", call=lambda _, v=value: quality((TRUTH, TRUTH), name=v), names="name"
        )
    twice = [(TRUTH, TRUTH)] * 2
    yield replace(base, name="an image twice", call=lambda _: quality(*twice, name="a.png"), names="a.png")


def _photographs() -> Iterator[Case]:
    """`pq --images` and `--explain`."""
    page = replace(
        PQ,
        arguments=(*PQ.arguments, "--html", "page"),
        makes=("scores.json", "page"),
        uses=(*PQ.uses, "photos", "text.txt"),
    )
    shown = replace(page, arguments=(*page.arguments, "--images", "gt/images"), names="--images|gt/images")
    yield replace(shown, name="--images")
    for value in ("gone", "photos", "text.txt", "pred", "gt/panoptic", "/dev/null", "n" * 300, ""):
        yield replace(
            shown, name=f"--images {value[:12]}", arguments=(*page.arguments, "--images", value), about="options",
            names="--images|file name too long",
        )  # fmt: skip
    yield replace(
        shown, name="--images without --html", arguments=(*PQ.arguments, "--images", "gt/images"), about="options"
    )
    for name in [*PICTURES][::12]:
        yield replace(
            shown, name=f"--images: {name}", same=True,
            change=lambda folder, name=name: [
                on_file(f"gt/images/{path.name}", PICTURES[name])(folder) for path in (folder / "gt/images").iterdir()
            ],
        )  # fmt: skip
    for what in ("a pipe", "a device without end", "a link to itself", "a folder"):
        yield replace(
            shown, name=f"--images: {what}", same=True,
            change=lambda folder, what=what: in_place_of(f"gt/images/{first(folder)}", what)(folder),
        )  # fmt: skip
    for more in (
        "--trim-stuff 0", "--trim-stuff -1", "--lenient", "--versus gone", "--versus text.txt", "--versus gt",
        "--versus pred", "--threads 0", "--threads -1", f"--threads {HUGE}", f"--trim-stuff {HUGE}",
    ):  # fmt: skip
        arguments = (*page.arguments, "--explain", *more.split())
        yield replace(
            page, name=f"--explain {more[:24]}", arguments=arguments, about="options",
            names=more.replace(" ", "|")[:60],
        )  # fmt: skip


def first(folder: Path) -> str:
    return min(path.name for path in (folder / "gt" / "images").iterdir())
