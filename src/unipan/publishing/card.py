"""The model card of a checkpoint, made from what the checkpoint says of itself: classes, scores and settings."""

import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from unipan.config import Config
from unipan.hub_download import HUB_CHECKPOINT, HUB_PREFIX
from unipan.outputs import signature
from unipan.panoptic.categories import Categories

CARD = "README.md"
"""Where the Hub looks for it."""
REPOSITORY_URL = "https://github.com/unipan/unipan"
MOST_ROWS = 60
"""Of the table of scores; what is beyond it is in the checkpoint."""
_MARK = re.compile(r"\n<!-- unipan push \S+, ([0-9a-f]{64}) -->\n\Z")


def model_card(
    repository: str, config: Config, categories: Categories, metrics: Mapping[str, Any], *, graphs: bool, packaged: bool
) -> str:
    """The text of README.md, which says in its last line who wrote it, and by a digest whether it was changed since.

    Args:
        repository: owner/name.
        config, categories, metrics: of the checkpoint.
        graphs: whether graphs for onnxruntime lie beside it.
        packaged: whether the weights of its backbone are in a package of Python.
    """
    from huggingface_hub import ModelCardData

    tags = ["panoptic-segmentation", "unipan", *(["onnx"] if graphs else [])]
    head = ModelCardData(library_name="unipan", pipeline_tag="image-segmentation", tags=tags).to_yaml()
    body = "\n\n".join(_sections(repository, config, categories, metrics, graphs=graphs, packaged=packaged))
    text = f"---\n{head}\n---\n\n{body}\n"
    return f"{text}\n<!-- {signature('push')}, {_digest(text)} -->\n"


def is_ours(card: str) -> bool:
    """Whether `unipan push` wrote a card, and nobody has changed it since."""
    mark = _MARK.search(card)
    return mark is not None and mark[1] == _digest(card[: mark.start()])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sections(
    repository: str, config: Config, categories: Categories, metrics: Mapping[str, Any], *, graphs: bool, packaged: bool
) -> Iterator[str]:
    source = f"{HUB_PREFIX}{repository}"
    yield f"# {_plain(repository.split('/')[1])}"
    yield (
        f"A network for panoptic segmentation, trained with [unipan]({REPOSITORY_URL}) (Li, Qi, Torr: Unifying "
        f"Training and Inference for Panoptic Segmentation, CVPR 2020) by the recipe {_plain(config.name)}. It tells "
        f"{len(categories.things)} classes of things, object by object, and {len(categories.stuff)} of stuff."
    )
    extra = "photos,hub" if packaged else "torch,hub"
    yield f'## Use\n\n```bash\npip install "unipan[{extra}]"\nunipan predict {source} photo.jpg --out out\n```'
    if graphs:
        yield '`pip install "unipan[hub]"` is enough: without PyTorch its graphs run on onnxruntime.'
    yield (
        f'```python\nimport unipan\n\nsegmenter = unipan.Segmenter.load("{source}")\n'
        'segmenter("photo.jpg").save("overlay.png")\n```'
    )
    yield "## Classes"
    yield _table(("class", "kind"), [(each.name, "thing" if each.isthing else "stuff") for each in categories])
    rows = list(_leaf_rows(metrics))
    if rows:
        yield "## Scores\n\nWhat was measured when the checkpoint was saved, as it says itself."
        yield _table(("measure", "value"), rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        yield f"{len(rows) - MOST_ROWS} more are in the header of `{HUB_CHECKPOINT}`."
    yield "## Settings"
    yield _table(("part", "setting"), list(_parts(config)))
    shown = json.dumps(shown_config(config), indent=1)
    yield f"<details><summary>All of them</summary>\n\n```json\n{shown}\n```\n\n</details>"


def _parts(config: Config) -> Iterator[tuple[str, str]]:
    """What distinguishes a network, in words."""
    backbone, potential = config.backbone, config.potential
    yield "backbone", f"{backbone.network}, depth {backbone.depth}, width {backbone.width}"
    deformable = "deformable" if config.decoder.deformable else "plain"
    yield "decoders", f"{config.decoder.layers} {deformable} layers of {config.decoder.channels} channels"
    yield "detector", "with masks" if config.detection.masks else "boxes alone"
    yield "potential", f"variant {potential.variant}, one cell on {config.decoder.stride} pixels"
    yield "affinities", f"{config.affinity.channels} channels" if config.affinity.enabled else "none"
    yield "training", f"{config.train.iterations} iterations of {config.train.batch_size} images"


def shown_config(config: Config) -> dict[str, Any]:
    """The config for readers: of a path on the machine of the training its last part alone."""
    values = asdict(config)
    values["backbone"]["weights"] = PurePath(config.backbone.weights).name
    return values


def _leaf_rows(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each number or word of nested tables, with the names that lead to it."""
    for key, value in values.items():
        name = f"{above}, {key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from _leaf_rows(value, name)
        elif isinstance(value, list | tuple):
            yield name, ", ".join(_shown_value(each) for each in value)
        else:
            yield name, _shown_value(value)


def _shown_value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *((_plain(one), _plain(other)) for one, other in rows)]
    return "\n".join(f"| {one} | {other} |" for one, other in lines)


def _plain(text: str) -> str:
    """Text from a file, which neither Markdown nor HTML may take for its own."""
    escaped = html.escape(" ".join(text.split()))
    return re.sub(r"[\\`*\[\]|~#]", lambda found: f"&#{ord(found[0])};", escaped)
