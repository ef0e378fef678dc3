"""Every field of a config has a kind, and every number a range; whatever lies outside is one sentence."""

import math
from dataclasses import fields, replace
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from unipan.config import Config
from unipan.config_values import ANYTHING, Range, Section, allowed_values, check_value
from unipan.presets import BASELINES, PRESETS, preset

pytestmark = pytest.mark.usefixtures("no_type_checks")


def leaves() -> dict[str, Any]:
    """The annotation of each field of a config by dotted name."""
    sections = {f.name: get_type_hints(Config)[f.name] for f in fields(Config) if f.name != "name"}
    return {f"{name}.{key}": kind for name, each in sections.items() for key, kind in get_type_hints(each).items()}


def ranges() -> dict[str, Range]:
    """The range of each field that has one, by dotted name."""
    sections = {f.name: get_type_hints(Config)[f.name] for f in fields(Config) if f.name != "name"}
    found = {f"{name}.{key}": each[1] for name, kind in sections.items() for key, each in allowed_values(kind).items()}
    return {name: allowed for name, allowed in found.items() if allowed is not ANYTHING}


RANGES = ranges()


def numeric(kind: Any) -> bool:
    return kind in (int, float) or (get_origin(kind) is tuple and numeric(get_args(kind)[0]))


def test_every_number_has_a_range_and_every_range_a_number() -> None:
    assert {name for name, kind in leaves().items() if numeric(kind)} == set(RANGES)
    assert all(each.least > -math.inf for each in RANGES.values())


def test_every_section_is_checked_under_its_own_name() -> None:
    for name, kind in get_type_hints(Config).items():
        if name != "name":
            assert issubclass(kind, Section)
            assert kind.__name__.removesuffix("Config").lower() == name


def test_all_presets_and_their_ends_are_allowed() -> None:
    for name in PRESETS:
        for baseline in ("", *(f"_{each}" for each in BASELINES)):
            preset(name + baseline)
    for name, allowed in RANGES.items():
        assert allowed.least in allowed or allowed.above, name
        assert allowed.most in allowed or allowed.below or allowed.most == math.inf, name
        assert [each for each in (math.nan, math.inf, -math.inf) if each in allowed] == [], name
        assert 10**400 not in allowed or allowed.most == math.inf, name  # too large for a float


def wrong_values(name: str, kind: Any) -> list[Any]:
    """One value of each kind of fault."""
    if get_origin(kind) is tuple:
        each = wrong_values(name, get_args(kind)[0])
        few = () if get_args(kind)[1] is ... else (1,)
        length = 2 if get_args(kind)[1] is ... else len(get_args(kind))
        found = [tuple([value] * length) for value in each] + [5, None, [1, 2]]
        return found + ([few] if few or RANGES[name].entries else [])
    if kind is bool:
        return [0, "yes", None]
    if kind is str:
        return [1, None, ["a"]]
    if get_args(kind):  # Literal
        return ["nonsense", 3.5, True, None, -1]
    found = [math.nan, math.inf, -math.inf, True, "1", None, RANGES[name].least - 1, [1]]
    if RANGES[name].above:
        found.append(RANGES[name].least)
    if RANGES[name].most < math.inf:
        found.append(RANGES[name].most + 1)
    if RANGES[name].below:
        found.append(RANGES[name].most)
    return [*found, 1.5] if kind is int else found


@pytest.mark.parametrize("name", leaves())
def test_what_lies_outside_is_one_sentence_with_option_value_and_range(name: str) -> None:
    section, _, key = name.partition(".")
    made = getattr(Config(), section)
    for value in wrong_values(name, leaves()[name]):
        with pytest.raises(ValueError, match=rf"^{section}\.{key}: .+ is not \S") as caught:
            replace(made, **{key: value})
        assert repr(value)[:20] in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("decoder.stride", 3, "decoder.stride: 3 is not 1, 2 or 4"),
        ("potential.variant", "Z", "potential.variant: 'Z' is not A, B or C"),
        ("affinity.normalise", "x", "affinity.normalise: 'x' is not none, pixels, segment or softmax"),
        ("inference.score_threshold", math.nan, "inference.score_threshold: nan is not a number from 0 to 1"),
        ("affinity.channels", -8, "affinity.channels: -8 is not a whole number from 1 to 65536"),
        ("train.ema_decay", 2, "train.ema_decay: 2 is not in [0, 1)"),
        ("train.lr", math.nan, "train.lr: nan is not a finite number above 0"),
        ("loss.panoptic", -1.0, "loss.panoptic: -1.0 is not a finite number of at least 0"),
        (
            "detection.anchor_sizes",
            (8, 16),
            "detection.anchor_sizes: (8, 16) is not a tuple of 5 entries, each a whole number from 1 to 65536",
        ),
        ("train.seed", 10**30, f"train.seed: {10**30} is not a whole number from 0 to {10**12}"),
    ],
)
def test_the_sentences(name: str, value: object, sentence: str) -> None:
    section, _, key = name.partition(".")
    with pytest.raises(ValueError, match=r" is not ") as caught:
        replace(getattr(Config(), section), **{key: value})
    assert str(caught.value) == sentence


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ValueError, match=r"^x: \(0, 0, .*\.\.\. is not a number from 0 to 1$") as caught:
        check_value("x", (0,) * 1000, float, Range(0, 1))
    assert len(str(caught.value)) < 100


def test_whole_numbers_are_numbers_too() -> None:
    """JSON writes 1.0 as 1 in other libraries."""
    assert replace(Config().loss, panoptic=1).panoptic == 1
    check_value("data.scale", (1, 2.0), tuple[float, float])


def test_pairs_are_in_order() -> None:
    data = Config().data
    for change, said in (
        ({"scale": (2.0, 0.5)}, r"data\.scale: 2 0\.5"),
        ({"crop": (0, 64)}, r"data\.crop: 0 64"),
        ({"window": (99.0, 1.0)}, r"data\.window: 99 1"),
    ):
        with pytest.raises(ValueError, match=said):
            replace(data, **change)  # type: ignore[arg-type]


def test_groups_divide_every_width_that_they_normalise() -> None:
    base = Config()
    with pytest.raises(ValueError, match=r"decoder\.groups: decoder\.channels=128 is not divisible by 24 groups"):
        replace(base, decoder=replace(base.decoder, groups=24))
    narrow = replace(base.backbone, fpn_channels=48)
    assert replace(base, backbone=narrow).decoder.layers == 2  # no layer of that width has groups
    with pytest.raises(ValueError, match=r"decoder\.groups: backbone\.fpn_channels=48 is not divisible by 32 groups"):
        replace(base, backbone=narrow, decoder=replace(base.decoder, layers=3))
