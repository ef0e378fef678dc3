"""Checkpoints, weights of others, and the state that a training is resumed from."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import HUGE, SPECIAL, TEXTS, Bytes, in_place_of, on_file, unreadable

EVALUATE = ("evaluate", "net.safetensors", "gt", "--json", "scores.json", "--device", "cpu", "--limit", "1")


def evaluated(folder: Path, said: str) -> str:
    scores = json.loads((folder / "scores.json").read_text())
    return f"PQ {scores['strict']['All']['pq']:.4f}" if "strict" in scores else ",".join(scores)[:40]


BASE = Case(
    "evaluate", AS_IT_IS, EVALUATE, ("net.safetensors", "gt"), makes=("scores.json",), result=evaluated, torch=True,
    names="net.safetensors|the checkpoint",
)  # fmt: skip


def with_header(change: Callable[[dict[str, Any]], object]) -> Bytes:
    """A safetensors file with another header in front of the same tensors."""

    def damage(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return damage


def with_metadata(key: str, change: Callable[[Any], object]) -> Bytes:
    """Another value in the JSON text that the header holds under a key."""

    def damage(header: dict[str, Any]) -> None:
        content = json.loads(header["__metadata__"][key])
        changed = change(content)
        header["__metadata__"][key] = json.dumps(content if changed is None else changed)

    return with_header(damage)


def with_field(section: str, field: str, value: Any) -> Bytes:
    return with_metadata("config", lambda config: config[section].__setitem__(field, value))


def with_tensor(change: Callable[[bytes], bytes], dtype: str = "F32") -> Bytes:
    """Other bytes instead of the first tensor of a type."""

    def damage(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        first = next(row for name, row in header.items() if name != "__metadata__" and row["dtype"] == dtype)
        start, end = (8 + length + offset for offset in first["data_offsets"])
        return data[:start] + change(data[start:end]) + data[end:]

    return damage


def first_tensor(header: dict[str, Any]) -> dict[str, Any]:
    return next(row for name, row in header.items() if name != "__metadata__")


class Touch:
    """Unpickled, it would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("hacked", "w"))


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


WEIGHTS: dict[str, Bytes] = {
    **{
        name: TEXTS[name]
        for name in (
            "empty",
            "one byte",
            "cut at a quarter",
            "cut in the middle",
            "NUL bytes",
            "a PNG",
            "gzip",
            "a pointer of git lfs",
            "something behind",
            "a web page",
        )
    },
    "a header of 2^63 bytes": lambda data: struct.pack("<Q", 2**63) + data[8:],
    "a header of 90 MB": lambda data: struct.pack("<Q", 90_000_000) + data[8:],
    "a header that is no JSON": lambda data: data[:8] + b"x" + data[9:],
    "no metadata": with_header(lambda header: header.pop("__metadata__")),
    "another format": with_header(lambda header: header["__metadata__"].update(format="other-7")),
    "no config": with_header(lambda header: header["__metadata__"].pop("config")),
    "no categories": with_header(lambda header: header["__metadata__"].pop("categories")),
    "a config that is no JSON": with_header(lambda header: header["__metadata__"].update(config="{")),
    "a config that is a list": with_metadata("config", lambda config: []),
    "a config nested deeply": with_header(lambda header: header["__metadata__"].update(config="[" * 100_000)),
    "a field that nobody knows": with_metadata("config", lambda config: config.update(colour=1)),
    "a section missing": with_metadata("config", lambda config: config.pop("decoder") and None),
    "a section that is text": with_metadata("config", lambda config: config.update(decoder="x")),
    "categories that are text": with_metadata("categories", lambda rows: "x"),
    "categories of none": with_metadata("categories", lambda rows: []),
    "a category less": with_metadata("categories", lambda rows: rows[1:]),
    "a category without name": with_metadata("categories", lambda rows: rows[0].pop("name") and None),
    "a category in red": with_metadata("categories", lambda rows: rows[0].update(name="\x1b[31m")),
    "metrics that are a list": with_metadata("metrics", lambda metrics: [1]),
    "a tensor less": with_header(lambda header: header.pop(next(name for name in header if name != "__metadata__"))),
    "a tensor of another shape": with_header(lambda header: first_tensor(header).update(shape=[1])),
    "a tensor of 10^15 numbers": with_header(lambda header: first_tensor(header).update(shape=[10**15])),
    "a tensor of an unknown type": with_header(lambda header: first_tensor(header).update(dtype="F77")),
    "offsets that are nonsense": with_header(lambda header: first_tensor(header).update(data_offsets=[9, 3])),
    "NaN": with_tensor(lambda data: b"\xff" * len(data)),
    "infinity": with_tensor(lambda data: b"\0\0\x80\x7f" + data[4:]),
    "a pickle": lambda data: pickle.dumps({"weights": [1.0]}),
    "a pickle that would write": lambda data: pickle.dumps(Touch()),
    "a torch file that would write": lambda data: zipped(pickle.dumps(Touch(), 2)),
    "a zip": lambda data: zipped(b""),
}
FIELDS: dict[str, tuple[Any, ...]] = {
    "backbone.depth": (0, 19, "x", HUGE, None),
    "backbone.width": (0, -8, 1.5, 10**9, HUGE, "8"),
    "backbone.fpn_channels": (0, 10**9),
    "backbone.weights": ("gone.pth", "../../etc/passwd", 5),
    "backbone.network": ("x", None, "resnet; rm"),
    "decoder.channels": (0, 10**9, []),
    "decoder.groups": (0, 3, 7),
    "decoder.stride": (0, 3, 64, "2"),
    "decoder.layers": (-1, 10**6),
    "detection.anchor_sizes": ([], [1, 2], "x", [0, 0, 0, 0, 0], [HUGE] * 5),
    "detection.anchor_ratios": ([], [0], [-1], "x"),
    "detection.max_detections": (-1, 10**9),
    "detection.score_threshold": (-1, 2, "x"),
    "detection.mask_size": (0, 10**6),
    "detection.mask_layers": (0, 10**6),
    "detection.box_features": (0, 10**9),
    "affinity.channels": (0, 10**9),
    "affinity.normalise": ("x", 1),
    "affinity.activation": ("x",),
    "affinity.positional_encoding": (-1, 10**6),
    "potential.variant": ("Z", None),
    "inference.fusion": ("x", None),
    "inference.score_threshold": (-1, "0.5"),
    "data.short_side": (-1, 10**9),
    "data.max_side": (0, -5),
    "data.window": ([5], [9, 2], "x"),
    "heuristic.overlap_threshold": (7,),
    "train.lr": (0, -1, "x"),
}


def checkpoint_cases() -> Iterator[Case]:
    yield BASE
    for name, damage in WEIGHTS.items():
        yield replace(BASE, name=f"checkpoint: {name}", change=on_file("net.safetensors", damage))
    for what in SPECIAL:
        yield replace(BASE, name=f"checkpoint: {what}", change=in_place_of("net.safetensors", what))
    yield replace(BASE, name="checkpoint: not ours to read", change=unreadable("net.safetensors"), mortal=True)
    for where, values in FIELDS.items():
        section, _, field = where.partition(".")
        for value in values:
            yield replace(
                BASE,
                name=f"config {where}: {str(value)[:20]}",
                change=on_file("net.safetensors", with_field(section, field, value)),
            )
    for where, text in (("inference.score_threshold", "NaN"), ("data.scale", "Infinity"), ("train.lr", "1e999")):
        section, _, field = where.partition(".")
        yield replace(
            BASE,
            name=f"config {where}: {text}",
            change=on_file("net.safetensors", with_field(section, field, float(text.replace("1e999", "inf")))),
        )
    data = replace(BASE, names="gt")
    for name in ("empty", "cut in the middle", "byte order mark", "a list", "deeply nested"):
        yield replace(data, name=f"data: {name}", change=on_file("gt/panoptic.json", TEXTS[name]))
    for what in ("nothing", "a file", "a folder"):
        yield replace(data, name=f"gt/images: {what}", change=in_place_of("gt/images", what))
    yield from import_cases()


def import_cases() -> Iterator[Case]:
    base = Case(
        "import", "detectron2: text", ("import", "detectron2:text.txt", "--out", "new.safetensors"), ("text.txt",),
        makes=("new.safetensors",), torch=True, names="text.txt",
    )  # fmt: skip
    yield base
    files = {
        name: WEIGHTS[name]
        for name in (
            "empty",
            "a pickle",
            "a pickle that would write",
            "a torch file that would write",
            "a zip",
            "a PNG",
            "NUL bytes",
            "a web page",
        )
    }
    for name, damage in files.items():
        yield replace(base, name=f"detectron2: {name}", change=on_file("text.txt", damage))
    files["a safetensors header of 2^60 bytes"] = lambda data: struct.pack("<Q", 2**60) + data
    torchvision = replace(
        base,
        arguments=("import", "torchvision:maskrcnn_resnet50_fpn", "--file", "w.pth", "--out", "new.safetensors"),
        names="w.pth",
    )
    for name, damage in files.items():
        yield replace(
            torchvision,
            name=f"torchvision: {name}",
            change=lambda folder, damage=damage: (folder / "w.pth").write_bytes(damage(b"x")),
        )
    for what in SPECIAL:
        yield replace(base, name=f"detectron2: {what}", change=in_place_of("text.txt", what))
