"""`unipan export`, and exported networks: folders, and graphs beside a checkpoint, that are damaged or do not belong
together. Exports that succeed take half a minute each: `tests/commands/test_export.py` has them."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import HUGE, SPECIAL, TEXTS, in_place_of, on_file, put, unreadable
from tests.bad_input.of_checkpoints import WEIGHTS, with_field
from tests.bad_input.of_images import predicted
from unipan.exported.graphs import EXPORT_FILES
from unipan.outputs import Outputs

EXPORT = ("export", "net.safetensors", "--out", "out", "--data", "gt", "--limit", "1")
REFUSED = Case("export", "", EXPORT, ("net.safetensors", "gt", "text.txt"), about="options", torch=True)

BESIDE = Case(
    "predict", "graphs beside a checkpoint",
    ("predict", "beside/net.safetensors", "photo.png", "--out", "out", "--runtime", "onnx"), ("beside", "photo.png"),
    makes=("out",), result=predicted, names="beside/net",
)  # fmt: skip
FOLDER = replace(
    BESIDE,
    name="an export",
    arguments=("predict", "exported", "photo.png", "--out", "out"),
    uses=("exported", "photo.png"),
    names="exported|export: its description",
    torch=True,
)
FIELDS: dict[str, tuple[Any, ...]] = {
    "format": (..., None, "unipan-onnx-2"),
    "network": (..., None, 7, "", "0" * 64),
    "fill": (..., None, "abc", [], ["a", "b", "c"], [None, 1, 2], [HUGE, 0, 0], 0.5),
    "temperature": (..., None, "x", -1, 0, HUGE, [], True),
    "weights": (..., None, "abc", [], ["network.gone"], [1], {"a": 1}),
    "categories": (..., None, "abc", [], [None], {}),
    "categories.0": (..., None),
    "categories.0.isthing": (..., 0, 7),
    "config": (..., None, "abc", []),
    "config.decoder.stride": (..., 1, 8, "x"),
    "config.potential.variant": ("A", "Z"),
    "config.affinity.enabled": (False, "x"),
    "config.detection.masks": (False,),
    "config.colour": (1,),
    "metrics": (..., None, "abc", []),
}
"""Of the description; `...` removes one."""
DAMAGED = (
    "empty", "cut in the middle", "a PNG", "a header of 2^63 bytes", "no metadata", "another format", "no config",
    "a config that is a list", "a field that nobody knows", "categories of none", "a tensor of an unknown type",
    "offsets that are nonsense", "a pickle that would write",
)  # fmt: skip
"""What is seen without loading the weights; the rest is seen as by `evaluate`, after an import of seconds."""
UNREAD = ("config", "categories", "metrics", "format", "fill", "temperature")
"""Those that are not read of graphs beside a checkpoint, and those that are read in the same way."""


def export_cases() -> Iterator[Case]:
    yield from refused_exports()
    yield from damaged_exports()


def refused_exports() -> Iterator[Case]:
    checkpoint = replace(REFUSED, about="input", names="net.safetensors|the checkpoint")
    for name in DAMAGED:
        yield replace(checkpoint, name=f"checkpoint: {name}", change=on_file("net.safetensors", WEIGHTS[name]))
    for what in SPECIAL:
        yield replace(checkpoint, name=f"checkpoint: {what}", change=in_place_of("net.safetensors", what))
    yield replace(checkpoint, name="checkpoint: not ours to read", change=unreadable("net.safetensors"), mortal=True)
    for field, value in (("decoder.stride", 3), ("potential.variant", "Z")):
        section, _, name = field.partition(".")
        damage = on_file("net.safetensors", with_field(section, name, value))
        yield replace(checkpoint, name=f"config {field}: {value}", change=damage)
    for name, line, names in (
        ("neither --out nor --beside", "export net.safetensors", "--out"),
        ("--out and --beside", "export net.safetensors --out out --beside", "--beside"),
        ("no checkpoint", "export", "CHECKPOINT"),
        ("--out is the checkpoint", "export net.safetensors --out net.safetensors", "--out net.safetensors"),
        ("--out is below the checkpoint", "export net.safetensors --out net.safetensors/x", "net.safetensors"),
        ("--out is in what is read", "export net.safetensors --out gt/images/x --data gt", "--out gt/images/x"),
        ("--data without pictures", "export net.safetensors --out out --data empty", "empty"),
        ("--data that is text", "export net.safetensors --out out --data text.txt", "text.txt"),
        ("--data of no format", "export net.safetensors --out out --data x:gt", "x"),
        ("--data of other seeds", "export net.safetensors --out out --data scenes:9-3", "scenes:9-3"),
        ("--json is in --out", "export net.safetensors --out out --json out/model.json", "out/model.json"),
        ("--json is the truth", "export net.safetensors --out out --data gt --json gt/panoptic.json", "--json"),
    ):
        change = in_place_of("empty", "a folder")
        yield replace(REFUSED, name=name, arguments=tuple(line.split()), change=change, names=names)
    yield replace(
        REFUSED, name="--out not ours to write", names="--out", mortal=True,
        change=lambda folder: [in_place_of("out", "a folder")(folder), (folder / "out").chmod(0o555)],
    )  # fmt: skip
    for name in EXPORT_FILES:
        yield replace(REFUSED, name=f"--out has {name} of somebody", names=name, change=_somebodys(f"out/{name}"))
        yield replace(
            REFUSED, name=f"--out has a folder {name}", names=name,
            change=lambda folder, name=name: (folder / "out" / name).mkdir(parents=True),
        )  # fmt: skip
    for name in ("net.onnx.json", "net.dense.onnx", "net.head.onnx"):
        arguments = ("export", "net.safetensors", "--beside", "--data", "gt")
        yield replace(
            REFUSED, name=f"--beside {name} of somebody", arguments=arguments, names=name, change=_somebodys(name)
        )
    yield replace(REFUSED, name="--out has the export of another network", names="--out out", change=_of_another)
    yield replace(
        REFUSED, name="--out has an export, and the checkpoint is damaged", names="net.safetensors",
        change=lambda folder: [_of_another(folder), on_file("net.safetensors", WEIGHTS["cut in the middle"])(folder)],
    )  # fmt: skip


def _somebodys(path: str) -> Any:
    def change(folder: Path) -> None:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("of somebody")

    return change


def _of_another(folder: Path) -> None:
    Outputs("export").start_folder(folder / "out", EXPORT_FILES)
    for name in EXPORT_FILES:
        (folder / "out" / name).write_text('{"network": "another"}')


def damaged_exports() -> Iterator[Case]:
    """Networks that onnxruntime runs."""
    yield BESIDE
    yield FOLDER
    beside = [*_of_files(BESIDE, [f"beside/net{ending}" for ending in (".onnx.json", ".dense.onnx", ".head.onnx")])]
    beside += [
        replace(BESIDE, name=f"beside: {name}", change=on_file("beside/net.safetensors", WEIGHTS[name]))
        for name in [*WEIGHTS][::8]
    ]
    # A session takes a while to open: in a base install every fifth has to do.
    yield from (replace(case, torch=bool(number % 5)) for number, case in enumerate(beside))
    yield from _of_files(FOLDER, [f"exported/{name}" for name in EXPORT_FILES])
    yield from onnx_options()


def _of_files(case: Case, files: list[str]) -> Iterator[Case]:
    """Damage to the files of an export that every picture needs."""
    description, *graphs = files[:3]
    yield from _of_description(case, description)
    for graph in graphs:
        for name in ("empty", "cut in the middle", "NUL bytes", "something behind")[case is BESIDE :: 2]:
            yield replace(case, name=f"{graph}: {name}", change=on_file(graph, TEXTS[name]))
    for file in files[:2]:
        for what in SPECIAL[::2] if case is FOLDER else SPECIAL[::4]:
            yield replace(case, name=f"{file}: {what}", change=in_place_of(file, what))
        yield replace(case, name=f"{file}: not ours to read", change=unreadable(file), mortal=True)
    dense, head = graphs
    yield replace(case, name=f"{dense} twice", change=lambda folder, a=dense, b=head: _copied(folder / a, folder / b))
    yield replace(case, name=f"{head} twice", change=lambda folder, a=dense, b=head: _copied(folder / b, folder / a))
    yield replace(
        case, name=f"{dense} and the other exchanged",
        change=lambda folder, a=dense, b=head: _exchanged(folder / a, folder / b),
    )  # fmt: skip


def _of_description(case: Case, description: str) -> Iterator[Case]:
    texts = [*TEXTS][::4] if case is FOLDER else [*TEXTS][::8]
    for name in texts:
        yield replace(case, name=f"{description}: {name}", change=on_file(description, TEXTS[name]))
    for field, values in FIELDS.items():
        if field.partition(".")[0] in (("weights",) if case is FOLDER else UNREAD):
            continue
        for value in values[:3]:
            told = "missing" if value is ... else str(value)[:12]
            yield replace(case, name=f"{description}: {field}: {told}", change=on_file(description, put(field, value)))


def onnx_options() -> Iterator[Case]:
    """Options that an exported network cannot do."""
    yield replace(AFFINITY, name="an export", arguments=(*AFFINITY.arguments[:1], "exported", *AFFINITY.arguments[2:]))
    for line, names in (
        ("predict exported photo.png --out out --runtime torch", "--runtime torch"),
        ("predict exported photo.png --out out --precision bf16", "--precision bf16"),
        ("predict exported photo.png --out out --device cuda", "--device cuda"),
        ("predict exported photo.png --out out --tiles", "tiles"),
        ("predict net.safetensors photo.png --out out --runtime onnx", "net.onnx.json"),
        ("predict net.safetensors photo.png --out out --runtime onnx --precision bf16", "--precision bf16"),
        ("predict ./photos photo.png --out out", "photos"),
        ("evaluate exported gt", "exported"),
        ("figures exported gt --out out", "exported"),
        ("export exported --out out", "exported"),
        ("serve exported", "exported"),
        ("train finetune --data gt --init exported", "exported"),
    ):
        door = line.partition(" ")[0]
        uses = ("exported", "net.safetensors", "photo.png", "photos", "gt")
        yield Case(door, f"an export: {line}", tuple(line.split()), uses, about="options", names=names, torch=True)


AFFINITY = Case(
    "affinity", AS_IT_IS, ("affinity", "exported", "photo.png", "--pixel", "3", "4", "--out", "map.png"),
    ("exported", "photo.png"), makes=("map.png",), torch=True, names="exported",
)  # fmt: skip


def _copied(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _exchanged(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def make_beside(folder: Path) -> None:
    """`beside`: the bundled network with its graphs, under another name."""
    from unipan.files import checkpoint_path

    source = checkpoint_path("scenes_mask_free")
    (folder / "beside").mkdir()
    for ending in (".safetensors", ".onnx.json", ".dense.onnx", ".head.onnx"):
        _copied(source.with_suffix(ending), folder / "beside" / f"net{ending}")


def make_export(folder: Path) -> None:
    """`exported`: the same as the folder of an export, whose graphs have their weights; the package onnx is needed."""
    import onnx
    from onnx import numpy_helper

    from unipan.checkpoint_header import read_arrays, read_header
    from unipan.exported.graphs import DENSE_FILE, HEAD_FILE, MODEL_FILE, WEIGHT_PREFIX

    beside, out = folder / "beside", folder / "exported"
    out.mkdir()
    arrays, (config, categories, metrics) = (read(beside / "net.safetensors") for read in (read_arrays, read_header))
    dense = onnx.load(beside / "net.dense.onnx", load_external_data=False)
    for weight in dense.graph.initializer:
        if weight.external_data:
            weight.CopyFrom(numpy_helper.from_array(arrays[weight.name.removeprefix(WEIGHT_PREFIX)], weight.name))
    onnx.save(dense, out / DENSE_FILE)
    _copied(beside / "net.head.onnx", out / HEAD_FILE)
    described = json.loads((beside / "net.onnx.json").read_text())
    del described["weights"]
    described |= {"config": asdict(config), "categories": categories.to_coco(), "metrics": metrics}
    (out / MODEL_FILE).write_text(json.dumps(described))
