"""The knobs: impossible pairs are refused."""

import ast
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import unipan.config as config_module
from unipan.config import (
    AffinityConfig,
    Config,
    DecoderConfig,
    DetectionConfig,
    InferenceConfig,
    LossConfig,
    MatchingConfig,
    PotentialConfig,
    check_fusion,
)


@pytest.mark.parametrize("size", [0, 27])
def test_masks_have_an_even_number_of_cells(size: int) -> None:
    with pytest.raises(ValueError, match=rf"detection\.mask_size: {size} "):
        DetectionConfig(mask_size=size)


@pytest.mark.parametrize("activation", ["identity", "elu", "gelu"])
def test_log_p_needs_p_above_zero(activation: str) -> None:
    with pytest.raises(ValueError, match="use activation relu or softmax"):
        AffinityConfig(activation=activation, loss="log")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="use variant B or C"):
        Config(potential=PotentialConfig("A"), affinity=AffinityConfig(activation="relu", loss="log"))


def test_softmax_over_the_pixels_replaces_phi1s_activation() -> None:
    with pytest.raises(ValueError, match="use activation softmax, elu, gelu or identity"):
        AffinityConfig(activation="relu", normalise="softmax")


@pytest.mark.parametrize("other", [{"positional_encoding": 2}, {"activation": "relu"}, {"normalise": "softmax"}])
def test_a_rotary_code_turns_signed_features_and_is_the_only_code(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rope needs positional_encoding=0, activation identity, elu or gelu"):
        AffinityConfig(rope=2, **other)
    AffinityConfig(rope=2, activation="elu")


def test_an_affinity_head_without_a_loss_is_refused() -> None:
    with pytest.raises(ValueError, match=r"set affinity\.enabled=False"):
        Config(loss=LossConfig(panoptic=0.0))
    Config(loss=LossConfig(panoptic=0.0), affinity=AffinityConfig(enabled=False))


def test_every_field_says_what_it_does() -> None:
    """The docstrings become --help."""
    tree = ast.parse(Path(config_module.__file__).read_text())
    for kind in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, said in itertools.pairwise([*kind.body, None]):
            if isinstance(field, ast.AnnAssign) and kind.name != "Config":
                assert isinstance(said, ast.Expr), f"{kind.name}.{ast.unparse(field.target)}"


def test_a_loss_coarser_than_p_is_refused() -> None:
    with pytest.raises(ValueError, match=r"matching\.stride: 4 is coarser than P"):
        Config(decoder=DecoderConfig(stride=2))
    Config(decoder=DecoderConfig(stride=2), matching=MatchingConfig(stride=1))


def test_upsnets_knobs_go_together() -> None:
    a, truth = PotentialConfig("A", void_channel=True), MatchingConfig(use_gt_boxes=True, gt_box_keep_rate=0.7)
    assert Config(potential=a, matching=truth).matching.gt_box_keep_rate == 0.7
    with pytest.raises(ValueError, match="variant=B has probabilities; use variant=A, or void_channel=False"):
        Config(potential=PotentialConfig("B", void_channel=True))
    with pytest.raises(
        ValueError, match=r"set matching\.use_gt_boxes=True and potential\.void_channel=True, or gt_box_keep_rate=1"
    ):
        Config(potential=a, matching=MatchingConfig(gt_box_keep_rate=0.7))
    with pytest.raises(
        ValueError, match=r"set matching\.use_gt_boxes=True and potential\.void_channel=True, or gt_box_keep_rate=1"
    ):
        Config(potential=PotentialConfig("A"), matching=truth)
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"matching\.gt_box_keep_rate: .* not in \(0, 1\]"):
            Config(potential=a, matching=replace(truth, gt_box_keep_rate=share))


def test_a_fusion_that_the_network_cannot_do_is_refused() -> None:
    boxes = DetectionConfig(masks=False)
    with pytest.raises(ValueError, match="fusion heuristic: custom "):
        Config(detection=boxes, inference=InferenceConfig(fusion="heuristic"))
    with pytest.raises(ValueError, match="fusion upsnet: custom has no masks"):
        Config(
            detection=boxes,
            potential=PotentialConfig("A", void_channel=True),
            inference=InferenceConfig(fusion="upsnet"),
        )
    with pytest.raises(ValueError, match="fusion upsnet: custom has no void channel"):
        Config(inference=InferenceConfig(fusion="upsnet"))
    with pytest.raises(ValueError, match=r"'max' .* affinity, potential, heuristic, upsnet"):
        check_fusion(Config(), "max")
    for fusion in ("affinity", "potential", "heuristic"):
        check_fusion(Config(), fusion)


def test_a_summing_decoder_is_never_deformable() -> None:
    with pytest.raises(ValueError, match=r"set decoder\.deformable=False, or kind=concat"):
        DecoderConfig(kind="sum")
    assert DecoderConfig(kind="sum", deformable=False).kind == "sum"
