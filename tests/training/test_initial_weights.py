"""What `--init` and `--backbone.*` say together."""

from dataclasses import replace

import pytest

from tests.tiny import CATEGORIES
from unipan.build import build_network
from unipan.checkpoint import transfer
from unipan.config import Config
from unipan.files import bundled_checkpoints
from unipan.models.timm_weights import has_package
from unipan.training.initial_weights import describe_missing_start, with_init
from unipan.training.options import TrainOptions, check_init, parse
from unipan.training.session import describe_transfer

if not {"scenes", "photos"} <= set(bundled_checkpoints()) or not has_package("tf_efficientnet_lite0"):
    pytest.skip("needs both bundled checkpoints and unipan[photos]", allow_module_level=True)


def begun(*line: str, name: str = "finetune") -> tuple[Config, str | None]:
    options = parse(name, ["--data", "x", *line])
    check_init(options.init, options.config)
    return with_init(options.config, options.init, options.explicit_backbone)


@pytest.mark.parametrize("start", [(), ("--init", "photos"), ("--init", "scenes")])
def test_fields_that_say_what_is_trained_work_with_any_start(start: tuple[str, ...]) -> None:
    plain = begun(*start)[0].backbone
    frozen = begun(*start, "--backbone.weights", "checkpoint", "--backbone.frozen")[0].backbone
    assert frozen == replace(plain, weights="checkpoint", frozen=True)
    assert begun(*start, "--backbone.frozen")[0].backbone == frozen
    fixed = begun(*start, "--backbone.fixed")[0]
    assert fixed.backbone == replace(plain, weights="checkpoint", fixed=True)
    network = build_network(fixed, CATEGORIES)
    assert not any(p.requires_grad for name, p in network.named_parameters() if name.startswith("backbone.resnet"))
    assert not any(p.requires_grad for name, p in network.named_parameters() if name.startswith("backbone.body"))
    assert all(p.requires_grad for name, p in network.named_parameters() if name.startswith("backbone.fpn"))
    assert not [key for key in transfer(network, begun(*start)[1] or "", CATEGORIES).left if "backbone" in key]
    assert not begun(*start, "--backbone.no-frozen")[0].backbone.frozen


def test_other_presets_can_be_frozen_at_a_checkpoint_too() -> None:
    found = begun("--init", "scenes", "--backbone.frozen", name="scenes")[0].backbone
    assert (found.frozen, found.weights) == (True, "checkpoint")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            ("--backbone.se-reduction", "8"),
            "se-reduction 8: the start of finetune is the checkpoint photos, whose .* 16",
        ),
        (("--init", "photos", "--backbone.se-reduction", "8"), "se-reduction 8: --init photos, whose backbone has 16"),
        (("--init", "scenes", "--backbone.width", "64"), "width 64: --init scenes, whose backbone has 32"),
        (("--backbone.width", "64"), "width 64: .* has the network tf_efficientnet_lite0"),
        (("--backbone.network", "resnet"), "network resnet: .* photos, whose backbone has tf_efficientnet_lite0"),
        (("--init", "none", "--backbone.fixed"), "backbone.fixed: from scratch there are no weights to keep"),
        (("--init", "none", "--backbone.weights", "checkpoint"), "weights checkpoint: .* give --init FILE"),
        (("--init", "imagenet"), "--backbone.width 64, or .*--backbone.network tf_efficientnet_lite0"),
    ],
)
def test_another_architecture_is_one_sentence_with_field_start_and_remedy(line: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        begun(*line)


def test_weights_of_a_checkpoint_need_one() -> None:
    with pytest.raises(ValueError, match="give --init FILE"):
        begun("--backbone.weights", "checkpoint", name="scenes")


def test_named_weights_replace_the_start() -> None:
    lite0 = ("--backbone.network", "tf_efficientnet_lite0")
    assert begun(*lite0, "--backbone.weights", "imagenet")[1] is None
    assert begun("--backbone.weights", "none")[1] is None
    assert begun(*lite0)[1] == "photos"


@pytest.mark.parametrize("baseline", ["panoptic_fpn", "upsnet"])
def test_a_baseline_keeps_what_it_removes_and_says_what_is_left_over(baseline: str) -> None:
    for line in ((), ("--init", "scenes")):
        config, init = begun(*line, name=f"finetune_{baseline}")
        assert config.backbone.se_reduction == 0
        network = build_network(config, CATEGORIES)
        taken = transfer(network, init or "", CATEGORIES)
        assert "backbone.excite" in describe_transfer(taken, network, CATEGORIES, init or "")
        assert {name.partition(".")[0] for name in taken.unused} >= {"backbone"}


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    options = TrainOptions(config=parse("finetune", ["--data", "x"]).config)
    assert describe_missing_start(options.config, None) == ""
    monkeypatch.setattr("unipan.training.initial_weights.has_package", lambda _: False)
    assert "unipan[photos]" in describe_missing_start(options.config, None)
    assert describe_missing_start(options.config, "scenes") == ""
    assert describe_missing_start(parse("scenes", []).config, None) == ""
