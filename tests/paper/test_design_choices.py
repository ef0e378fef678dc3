"""docs/design_choices.md tells every number by which the recipes of our tables differ from the published ones."""

from dataclasses import asdict
from pathlib import Path

from unipan.config import Config
from unipan.presets import cityscapes, coco
from unipan.reproduction.ablations import photos_recipe, scenes_recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "design_choices.md"
SECTION = "## What the laptop-size recipes have, and the paper lacks"
APART = (
    "train.iterations",
    "train.reference_batch",
    "train.validations",
    "train.validation_images",
    "train.num_workers",
)
"""The length, which each page gives, and fields that change nothing about the network that comes out last."""


def knobs(config: Config) -> dict[str, object]:
    """Every field by the name that the command line gives it."""
    sections = {name: values for name, values in asdict(config).items() if isinstance(values, dict)}
    return {f"{name}.{field}": value for name, values in sections.items() for field, value in values.items()}


def cell(value: object) -> str:
    """A number or several as the page prints them."""
    values = value if isinstance(value, tuple | list) else (value,)
    return " ".join(f"{each:.3g}" if isinstance(each, float) else str(each) for each in values)


def differences() -> list[str]:
    """A row for each field in which a recipe of ours is not the preset for Cityscapes; COCO's is in the next column."""
    published, ours = [knobs(make()) for make in (cityscapes, coco)], [knobs(scenes_recipe()), knobs(photos_recipe())]
    rows = []
    for name in published[0]:
        theirs, own = ([cell(each[name]) for each in some] for some in (published, ours))
        if name not in APART and set(own) != {theirs[0]}:
            rows.append(f"| `{name}` | {' / '.join(dict.fromkeys(theirs))} | {own[0]} | {own[1]} |")
    return rows


def test_every_difference_of_the_recipes_is_on_the_page() -> None:
    section = PAGE.read_text().partition(SECTION)[2].partition("\n## ")[0]
    assert differences()
    assert [line for line in section.splitlines() if line.startswith("| `")] == differences()
