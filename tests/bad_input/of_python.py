"""The Python functions that people call: wrong kinds, shapes and values of every argument."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import unipan
from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import HUGE, PICTURES, TEXTS, on_file

T, S, H, W, D = 2, 3, 12, 16, 2
ODD: dict[str, Any] = {
    "None": None,
    "text": "x",
    "a number": 3,
    "an empty list": [],
    "a list of texts": ["a", "b"],
    "a ragged list": [[1], [1, 2]],
    "an object": object(),
    "a dict": {"a": 1},
    "no numbers": np.zeros(0),
    "NaN": np.full((D, 4), np.nan),
    "one axis too many": np.zeros((1, T + S, H, W, 1), np.float32),
    "complex": np.zeros((T + S, H, W), complex),
    "texts": np.array([["a", "b"]]),
    "objects": np.array([None, 1], object),
    "huge": np.full((D, 4), 1e38),
    "a function": len,
}


def arguments() -> dict[str, Any]:
    """Of `fuse`, in order."""
    rng = np.random.default_rng(0)
    return {
        "semantic": rng.normal(size=(T + S, H, W)).astype(np.float32),
        "boxes": np.array([[1, 1, 9, 8], [5, 2, 15, 11]], np.float32),
        "scores": np.array([0.9, 0.7], np.float32),
        "classes": np.array([0, 1]),
        "masks": rng.normal(size=(D, 7, 7)).astype(np.float32),
        "queries": rng.normal(size=(4, 6, 8)).astype(np.float32),
        "categories": T,
    }


def fused(**changed: Any) -> str:
    result = unipan.fuse(**{**arguments(), **changed})
    return f"{len(list(result))} segments, {np.unique(result.ids).size} ids"


FUSE = Case("fuse", AS_IT_IS, call=lambda folder: fused(), names="fuse|image|gone")


def fuse_cases() -> Iterator[Case]:
    yield FUSE
    for name in arguments():
        for what, value in ODD.items():
            yield replace(
                FUSE, name=f"{name}: {what}", call=lambda folder, name=name, value=value: fused(**{name: value})
            )
    values: dict[str, tuple[Any, ...]] = {
        "size": ((0, 5), (-1, 5), "x", (5,), 3, (H, W, 3), (1.5, 2), (10**9, 10**9)),
        "fusion": ("x", 3, ""),
        "variant": ("Z", None, 1),
        "score_threshold": ("x", None, float("nan"), -1, 7),
        "image": ("gone.png", np.zeros((H, W), np.uint8), np.zeros((3, 3, 3), np.uint8), 3),
        "categories": (-1, 99, 1.5, True),
        "heuristic": (3, "x"),
        "whole_masks": ("x",),
    }
    for name, odd in values.items():
        for value in odd:
            yield replace(
                FUSE,
                name=f"{name}={str(value)[:12]!r}",
                call=lambda folder, name=name, value=value: fused(**{name: value}),
            )
    yield replace(
        FUSE, name="a box turned round", call=lambda folder: fused(boxes=arguments()["boxes"][:, [2, 3, 0, 1]])
    )
    yield replace(FUSE, name="boxes outside", call=lambda folder: fused(boxes=arguments()["boxes"] + 500))
    yield replace(FUSE, name="scores that are logits", call=lambda folder: fused(scores=np.array([3.0, -2.0])))
    yield replace(FUSE, name="classes with background", call=lambda folder: fused(classes=np.array([0, T])))
    yield replace(FUSE, name="masks that are probabilities", call=lambda folder: fused(masks=np.full((D, 7, 7), 0.5)))
    yield replace(FUSE, name="infinite logits", call=lambda folder: fused(semantic=np.full((T + S, H, W), np.inf)))
    yield replace(FUSE, name="numbers of 10^38", call=lambda folder: fused(semantic=np.full((T + S, H, W), 3e38)))


def dataset_cases() -> Iterator[Case]:
    """Functions that take paths."""
    scores = Case(
        "evaluate_folders", AS_IT_IS, uses=("gt", "pred"), names="gt|pred|evaluate_folders|path|Path",
        call=lambda folder: f"PQ {unipan.evaluate_folders('gt', 'pred', threads=1).quality.compute()['All'].pq:.6f}",
    )  # fmt: skip
    yield scores
    for name in ("empty", "cut in the middle", "a list", "deeply nested", "byte order mark"):
        yield replace(
            scores, name=name, change=on_file("gt/panoptic.json", TEXTS[name]), same=name == "byte order mark"
        )
    for name, value in (("None", None), ("a number", 3), ("a list", []), ("nothing", ""), ("a NUL", "a\0b")):
        yield replace(
            scores,
            name=f"truth: {name}",
            names="gt|pred|truth|path|Path|no such file|null",
            call=lambda folder, value=value: unipan.evaluate_folders(value, "pred").quality,
        )
    opened = Case(
        "open_dataset", AS_IT_IS, uses=("gt",), names="gt|path",
        call=lambda folder: f"{len(unipan.open_dataset('gt'))} images",
    )  # fmt: skip
    yield opened
    for name, value in (
        ("None", None),
        ("a number", 3),
        ("nothing", ""),
        ("a missing folder", "gone"),
        ("no format", "x:gt"),
    ):
        yield replace(
            opened,
            name=name,
            names="path|gone|x|None|3|no such|panoptic.json",
            call=lambda folder, value=value: f"{len(unipan.open_dataset(value))} images",
        )
    yield from conversion_cases()
    yield from category_cases()


def conversion_cases() -> Iterator[Case]:
    def convert(source: Any, target: Any, **options: Any) -> str:
        return f"{unipan.convert_dataset(source, target, unipan.FormatOptions(**options)).tally.images} images"

    base = Case(
        "convert_dataset", AS_IT_IS, uses=("gt", "text.txt"), makes=("out",), names="gt",
        call=lambda folder: convert("gt", "rle:out"),
    )  # fmt: skip
    yield base
    for name, source, target, options in (
        ("source: None", None, "out", {}),
        ("source: a number", 3, "out", {}),
        ("source: nothing", "", "out", {}),
        ("source: no format", "x:gt", "out", {}),
        ("target: None", "gt", None, {}),
        ("target: no format", "gt", "nothing:out", {}),
        ("target: nothing", "gt", "", {}),
        ("target: the source", "gt", "gt", {}),
        ("target: a file", "gt", "text.txt", {}),
        ("target: a JSON", "gt", "out.json", {}),
        ("divisor 0", "gt", "png16:out", {"divisor": 0}),
        ("an option of another format", "gt", "rle:out", {"train_ids": True}),
    ):
        yield replace(
            base,
            name=name,
            names="source|x|path|target|nothing|TO|divisor|train|out.json|panoptic.json",
            call=lambda folder, given=(source, target, options): convert(given[0], given[1], **given[2]),
        )


def category_cases() -> Iterator[Case]:
    from unipan.panoptic.categories import Categories
    from unipan.panoptic.maps import panoptic_map

    rows = [{"id": 1, "name": "a", "isthing": 1}, {"id": 2, "name": "b", "isthing": 0}]
    base = Case(
        "Categories.from_coco", AS_IT_IS, names="categor", call=lambda folder: len(Categories.from_coco(rows))
    )  # fmt: skip
    yield base
    odd: dict[str, Any] = {
        "nothing": [], "None": [None], "a text": ["x"], "no id": [{"name": "a", "isthing": 1}],
        "no name": [{"id": 1, "isthing": 1}], "a negative id": [{**rows[0], "id": -1}], "twice": [rows[0], rows[0]],
        "a huge id": [{**rows[0], "id": HUGE}], "isthing 2": [{**rows[0], "isthing": 2}],
        "colour of text": [{**rows[0], "color": "red"}], "colour of 300": [{**rows[0], "color": [300, 0, 0]}],
    }  # fmt: skip
    for name, value in odd.items():
        yield replace(base, name=name, call=lambda folder, value=value: len(Categories.from_coco(value)))
    categories = Categories.from_coco(rows)
    plain = Case(
        "panoptic_map", AS_IT_IS, names="map|segment|id|categor",
        call=lambda folder: len(panoptic_map(np.ones((4, 4), np.int32), {1: categories[0]})),
    )  # fmt: skip
    yield plain
    maps: dict[str, tuple[Any, Any]] = {
        "an id without class": (np.full((4, 4), 7), {1: categories[0]}),
        "a class without pixels": (np.zeros((4, 4), np.int32), {1: categories[0]}),
        "negative ids": (np.full((4, 4), -1), {-1: categories[0]}),
        "no pixels": (np.zeros((0, 0), np.int32), {}),
        "ids above 24 bits": (np.full((4, 4), 2**24), {2**24: categories[0]}),
    }
    for name, (ids, classes) in maps.items():
        yield replace(plain, name=name, call=lambda folder, ids=ids, classes=classes: len(panoptic_map(ids, classes)))


def network_cases() -> Iterator[Case]:
    """Functions that need PyTorch."""
    segment = Case(
        "Segmenter", AS_IT_IS, uses=("net.safetensors", "photo.png"), torch=True, names="photo.png",
        call=lambda folder: segmented("photo.png"),
    )  # fmt: skip
    yield segment
    for name in [*PICTURES][::3]:
        yield replace(segment, name=f"a file: {name}", change=on_file("photo.png", PICTURES[name]))
    for name, value in odd_images().items():
        yield replace(
            segment, name=f"an image: {name}", names="image|file", call=lambda folder, value=value: segmented(value())
        )
    for name, fusion in (("x", "x"), ("a number", 3), ("nothing", "")):
        yield replace(
            segment,
            name=f"fusion: {name}",
            names="fusion",
            call=lambda folder, fusion=fusion: segmented("photo.png", fusion),
        )
    for name, path in (
        ("a missing file", "gone"),
        ("None", None),
        ("a folder", "."),
        ("a NUL", "a\0b"),
        ("a picture", "photo.png"),
    ):
        yield replace(
            segment,
            name=f"load: {name}",
            names="checkpoint|PathLike|null",
            call=lambda folder, path=path: unipan.Segmenter.load(path),
        )
    for name, device in (("x", "x"), ("cuda:99", "cuda:99"), ("a number", -5), ("meta", "meta")):
        yield replace(
            segment,
            name=f"device: {name}",
            names="device",
            call=lambda folder, device=device: unipan.Segmenter.load("net.safetensors", device)("photo.png"),
        )
    yield from head_cases()


def segmented(image: Any, fusion: Any = None) -> str:
    return f"{len(list(unipan.Segmenter.load('net.safetensors')(image, fusion)))} segments"


def odd_images_of_arrays() -> dict[str, Any]:
    return {
        "None": None,
        "a number": 3,
        "a list": [[1, 2]],
        "bytes": b"x",
        "a missing path": Path("gone.png"),
        "an empty text": "",
        "floats": np.zeros((8, 8, 3)),
        "grey": np.zeros((8, 8), np.uint8),
        "four channels": np.zeros((8, 8, 4), np.uint8),
        "channels first": np.zeros((3, 8, 8), np.uint8),
        "no pixels": np.zeros((0, 8, 3), np.uint8),
    }


def odd_images() -> dict[str, Callable[[], Any]]:
    import torch
    from PIL import Image

    return {
        **{name: lambda value=value: value for name, value in odd_images_of_arrays().items()},
        "a tensor of NaN": lambda: torch.full((3, 8, 8), float("nan")),
        "a tensor of 255": lambda: torch.full((3, 8, 8), 255.0),
        "a batch": lambda: torch.zeros(1, 3, 8, 8),
        "a sparse tensor": lambda: torch.zeros(3, 8, 8).to_sparse(),
        "a complex tensor": lambda: torch.zeros(3, 8, 8, dtype=torch.complex64).conj(),
        "a tensor of whole numbers": lambda: torch.zeros(3, 8, 8, dtype=torch.int64),
        "a tensor of an eighth": lambda: torch.zeros(3, 8, 8).to(torch.float8_e4m3fn),
        "a negative view": lambda: torch._neg_view(torch.zeros(3, 8, 8)),
        "a meta tensor": lambda: torch.zeros(3, 8, 8, device="meta"),
        "an empty tensor": lambda: torch.zeros(3, 0, 8),
        "whole numbers": lambda: torch.zeros(3, 8, 8, dtype=torch.int64),
        "complex": lambda: torch.zeros(3, 8, 8, dtype=torch.complex64),
        "true and false": lambda: torch.zeros(3, 8, 8, dtype=torch.bool),
        "a PIL image of no pixels": lambda: Image.new("RGB", (0, 0)),
        "a closed PIL image": closed_image,
        "one pixel": lambda: np.zeros((1, 1, 3), np.uint8),
        "upside down": lambda: np.zeros((8, 8, 3), np.uint8)[::-1],
    }


def closed_image() -> Any:
    from PIL import Image

    image = Image.open("photo.png")
    image.close()
    return image


HEAD = {"in_channels": 4, "num_things": 2, "num_stuff": 2, "stride": 4}


def made_head(**changed: Any) -> str:
    return type(unipan.PanopticHead(**{**HEAD, **changed})).__name__


def head_cases() -> Iterator[Case]:
    head = Case("PanopticHead", AS_IT_IS, torch=True, names="PanopticHead", call=lambda folder: made_head())
    yield head
    options: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys((*HEAD, "channels", "width", "layers"), (0, -1, 1.5, "x", None, HUGE)),
        "variant": ("Z", None),
        "activation": ("x", None),
        "normalise": ("x", None),
        "positional_encoding": (-1, "x"),
        "rope": (-1, 7, "x"),
        "iou_threshold": (-1, 2, float("nan"), "x"),
        "score_threshold": (float("nan"), "x"),
        "temperature": (float("nan"), "x", -1),
        "label_stride": (3, -1, "x"),
    }  # fmt: skip
    for name, values in options.items():
        for value in values:
            yield replace(
                head,
                name=f"{name}={str(value)[:9]}",
                names=f"PanopticHead|{name}|affinity",
                call=lambda folder, name=name, value=value: made_head(**{name: value}),
            )


def python_cases() -> Iterator[Case]:
    yield from fuse_cases()
    yield from dataset_cases()


def torch_cases() -> Iterator[Case]:
    yield from network_cases()
