"""One file rebuilds its own network; a bad one is refused in a sentence."""

import json
from dataclasses import asdict, replace
from errno import ENOSPC
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import CATEGORIES, eager, image_batch, tiny_config, tiny_network
from unipan.build import build_network
from unipan.checkpoint import Transfer, load_checkpoint, save_checkpoint, transfer
from unipan.checkpoint_header import config_from_dict, read_header
from unipan.class_rows import CLASS_LAYERS
from unipan.config import Config
from unipan.files import bundled_checkpoints, checkpoint_path
from unipan.models.network import PanopticNetwork
from unipan.panoptic.categories import Categories, Category
from unipan.presets import PRESETS

METRICS = {"pq": 0.5, "iteration": 7, "what": "nothing"}


def saved(path: Path, config: Config | None = None, half: bool = False) -> PanopticNetwork:
    config = config or eager(tiny_config())
    network = tiny_network(config).train()
    with torch.no_grad():
        network.backbone(image_batch(4, seed=9).pixels)  # batch norm has seen something
    save_checkpoint(path, network.state_dict(), config, CATEGORIES, METRICS, half)
    return network.eval()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name: str) -> None:
    config = PRESETS[name]()
    assert config_from_dict(json.loads(json.dumps(asdict(config)))) == config


def test_a_partial_dict_takes_the_defaults() -> None:
    config = config_from_dict({"name": "mine", "detection": {"anchor_sizes": [1, 2, 3, 4, 5]}})
    assert config == replace(Config(name="mine"), detection=replace(Config().detection, anchor_sizes=(1, 2, 3, 4, 5)))


@pytest.mark.parametrize(
    ("deformable", "backbone"), [(False, "resnet"), (True, "resnet"), (False, "mobilenetv3_small_050")]
)
def test_loading_draws_no_random_weights(deformable: bool, backbone: str, tmp_path: Path) -> None:
    config = eager(tiny_config())
    config = replace(
        config,
        backbone=replace(config.backbone, network=backbone),
        decoder=replace(config.decoder, deformable=deformable),
    )
    state = build_network(config, CATEGORIES).state_dict()
    save_checkpoint(tmp_path / "a.safetensors", state, config, CATEGORIES, METRICS)
    before = torch.get_rng_state()
    found = load_checkpoint(tmp_path / "a.safetensors").network.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(found[key], value) for key, value in state.items())


@pytest.mark.parametrize("values", [{"nonsense": 1}, {"train": {"nonsense": 1}}])
def test_an_unknown_field_is_named(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"x\.json.*does not know the field 'nonsense'"):
        config_from_dict(values, "x.json")


def test_the_same_outputs_after_the_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    network = saved(path)
    found = load_checkpoint(path)
    assert not found.network.training
    assert (found.config, found.categories, found.metrics) == (eager(tiny_config()), CATEGORIES, METRICS)
    with torch.no_grad():
        before, after = network(image_batch()), found.network(image_batch())
    assert torch.equal(before.panoptic[0], after.panoptic[0])
    assert torch.equal(before.detections[0].boxes, after.detections[0].boxes)
    assert list(tmp_path.iterdir()) == [path]


def test_channels_last_weights_are_the_same(tmp_path: Path) -> None:
    network = tiny_network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_checkpoint(tmp_path / "a.safetensors", network.state_dict(), tiny_config(), CATEGORIES, {})
    again = load_checkpoint(tmp_path / "a.safetensors").network.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in network.state_dict().items())


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    network = saved(tmp_path / "full.safetensors")
    saved(tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("half.safetensors", "full.safetensors")]
    assert sizes[0] < 0.6 * sizes[1]
    again = load_checkpoint(tmp_path / "half.safetensors").network
    assert all(p.dtype == torch.float32 for p in again.parameters())
    with torch.no_grad():
        before, after = network(image_batch()), again(image_batch())
    torch.testing.assert_close(before.semantic, after.semantic, rtol=0.02, atol=0.02)


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    old = path.read_bytes()

    write = Path.write_bytes

    def half_written(file: Path, content: bytes) -> int:
        write(file, content[: len(content) // 2])
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(OSError, match=r"a\.safetensors: .*No space left on device"):
        saved(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_says_what_there_is(tmp_path: Path) -> None:
    for source in (tmp_path / "none.safetensors", "no_such_name"):
        with pytest.raises(FileNotFoundError, match="there is no such file, and the bundled ones are"):
            load_checkpoint(source)
    with pytest.raises(FileNotFoundError, match="this is a folder, and the bundled ones are"):
        load_checkpoint(tmp_path)


def test_bundled_names_open_as_paths() -> None:
    for name in bundled_checkpoints():
        assert checkpoint_path(name).is_file()
        read_header(checkpoint_path(name))


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "foreign", "version", "header", "field"])
def test_a_bad_file_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    saved(path)
    content, tensors = path.read_bytes(), load_file(path)
    header = {"format": "unipan-1", "config": "{}", "categories": json.dumps(CATEGORIES.to_coco()), "metrics": "{}"}
    match kind:
        case "text":
            path.write_text("hello")
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "foreign":
            save_file(tensors, path)
        case "version":
            save_file(tensors, path, metadata=header | {"format": "unipan-9"})
        case "header":
            save_file(tensors, path, metadata={"format": "unipan-1"})
        case "field":
            save_file(tensors, path, metadata=header | {"config": json.dumps({"no_such_knob": 1})})
    with pytest.raises(ValueError, match=r"bad\.safetensors: cannot be opened") as caught:
        load_checkpoint(path)
    assert str(caught.value).count("\n") == 0
    if kind == "field":
        assert "no_such_knob" in str(caught.value)


def test_weights_of_another_config_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    base = tiny_config()
    save_checkpoint(
        path,
        tiny_network().state_dict(),
        replace(base, affinity=replace(base.affinity, channels=16)),
        CATEGORIES,
        {},
    )
    with pytest.raises(ValueError, match="its weights do not fit its config"):
        load_checkpoint(path)


def test_transfer_to_other_classes_takes_all_but_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    network = saved(path)
    more = Categories(tuple(Category(i, str(i), i < 5, (0, 0, 0)) for i in range(8)))
    other = build_network(tiny_config(), more)
    taken = transfer(other, path, more)
    assert taken == Transfer([], [], [], [], [], of_kind=True)
    layers = tuple(f"{layer}." for layer in CLASS_LAYERS)
    for key, value in other.state_dict().items():
        assert key.startswith(layers) or torch.equal(value, network.state_dict()[key])


def test_transfer_between_the_same_classes_leaves_nothing(tmp_path: Path) -> None:
    saved(tmp_path / "a.safetensors", half=True)
    taken = transfer(tiny_network(seed=3), tmp_path / "a.safetensors", CATEGORIES)
    assert taken == Transfer([], [c.name for c in CATEGORIES], [c.name for c in CATEGORIES.things], [], [])


@pytest.mark.parametrize("frozen", [True, False])
def test_transfer_between_frozen_and_free_backbones(frozen: bool, tmp_path: Path) -> None:
    base = eager(tiny_config())
    here = replace(base, backbone=replace(base.backbone, frozen=frozen))
    there = replace(base, backbone=replace(base.backbone, frozen=not frozen))
    saved(tmp_path / "a.safetensors", here)
    assert transfer(tiny_network(there, seed=3), tmp_path / "a.safetensors", CATEGORIES).left == []


def test_transfer_between_other_backbones_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    base = tiny_config()
    wider = tiny_network(replace(base, backbone=replace(base.backbone, width=16)))
    with pytest.raises(ValueError, match="its backbone is not this experiment's"):
        transfer(wider, path, CATEGORIES)


STREET = Categories(
    tuple(
        Category(number, name, isthing, (0, 0, 0))
        for number, (name, isthing) in enumerate(
            [("rider", True), ("box", True), ("disc", True), ("ground", False), ("disc light", False), ("sky", False)]
        )
    )
)
"""Both things of CATEGORIES in the other order and one more, its stuff in the other order and one more."""

SHARED_THINGS = {1: 1, 2: 0}
SHARED = SHARED_THINGS | {3: 3, 5: 2}
"""Class index of STREET -> of CATEGORIES (disc, box; sky, ground)."""


@torch.no_grad()
def hand_made(network: PanopticNetwork, layer: str) -> None:
    """Row r of a layer is r + 1 everywhere, so that what comes out tells which row it was."""
    module = network.get_submodule(layer)
    for parameter in module.parameters():
        parameter.copy_((torch.arange(len(parameter)) + 1.0).view(-1, *[1] * (parameter.ndim - 1)).expand_as(parameter))


def test_shared_classes_keep_their_logits(tmp_path: Path) -> None:
    """On the same features every class that both have scores as before, whatever its place."""
    old = tiny_network(seed=1).eval()
    layers = ("semantic.project", "detection.mask_predictor.mask_fcn_logits")
    boxes = ("detection.roi.box_predictor.cls_score", "detection.roi.box_predictor.bbox_pred")
    for layer in (*layers, *boxes):
        hand_made(old, layer)
    save_checkpoint(tmp_path / "a.safetensors", old.state_dict(), tiny_config(), CATEGORIES, {})
    torch.manual_seed(2)
    new = build_network(tiny_config(), STREET).eval()
    taken = transfer(new, tmp_path / "a.safetensors", STREET)
    assert (taken.left, taken.of_kind) == ([], True)
    assert taken.semantic == ["box", "disc", "ground", "sky"]
    assert taken.detection == ["box", "disc"]
    pixels, roi = torch.rand(1, 3, 64, 64), torch.rand(5, 8)
    with torch.no_grad():
        before, after = (net.semantic(net.backbone(pixels))[0] for net in (old, new))
        masks = [net.detection.mask_predictor(torch.ones(2, 8, 14, 14)) for net in (old, new)]
        scores, deltas = zip(*[net.detection.roi.box_predictor(roi) for net in (old, new)], strict=True)
    close = torch.testing.assert_close  # matrices of other sizes are multiplied in another order
    for here, there in SHARED.items():
        close(after[here], before[there])
    for here, there in SHARED_THINGS.items():
        close(masks[1][:, here], masks[0][:, there])
        close(scores[1][:, here + 1], scores[0][:, there + 1])
        close(deltas[1].reshape(5, 4, 4)[:, here + 1], deltas[0].reshape(5, 3, 4)[:, there + 1])
    close(scores[1][:, 0], scores[0][:, 0])  # the background
    close(deltas[1][:, :4], deltas[0][:, :4])
    state = new.state_dict()
    rider, disc_light = 0, 4  # rows by hand: of CATEGORIES, V has things 1 and 2, stuff 3 and 4; boxes 2 and 3, after 1
    for key, row, mean in (
        ("semantic.project", rider, 1.5),
        ("semantic.project", disc_light, 3.5),
        (boxes[0], 1 + rider, 2.5),
        (layers[1], rider, 1.5),
    ):
        assert torch.equal(state[f"{key}.weight"][row], torch.full_like(state[f"{key}.weight"][row], mean))
    assert state[f"{boxes[1]}.weight"][4:8].flatten(1)[:, 0].tolist() == [7.0, 8.0, 9.0, 10.0]  # of 5 to 8 and 9 to 12


def test_classes_of_the_same_number_are_matched_by_name_too(tmp_path: Path) -> None:
    """As many classes, another order: the shapes fit, the rows do not."""
    old = saved(tmp_path / "a.safetensors")
    turned = Categories.of(replace(category, id=100 - category.id) for category in reversed(CATEGORIES.all))
    new = build_network(eager(tiny_config()), turned)
    assert transfer(new, tmp_path / "a.safetensors", turned).left == []
    weights = new.semantic.project.weight, old.semantic.project.weight
    assert torch.equal(weights[0], weights[1][[1, 0, 3, 2]])


def test_a_class_may_be_a_thing_here_and_stuff_there(tmp_path: Path) -> None:
    """Traffic lights: V keeps them, the detector has nothing to keep."""
    old = saved(tmp_path / "a.safetensors")
    names = [("sky", True), ("box", True), ("disc", False), ("ground", False)]
    other = Categories(tuple(Category(i, name, isthing, (0, 0, 0)) for i, (name, isthing) in enumerate(names)))
    new = build_network(eager(tiny_config()), other)
    taken = transfer(new, tmp_path / "a.safetensors", other)
    assert (taken.semantic, taken.detection) == (["sky", "box", "disc", "ground"], ["box"])
    assert torch.equal(new.semantic.project.weight[0], old.semantic.project.weight[2])


@pytest.mark.parametrize("channels", [8, 16])
@pytest.mark.parametrize(("before", "now"), [(3, 2), (2, 3)])
def test_a_decoder_of_another_depth_starts_afresh_with_all_on_it(
    before: int, now: int, channels: int, tmp_path: Path
) -> None:
    """COCO has three layers, Cityscapes two: rows learned on other features mean nothing. 16 is the FPN's width, too,
    so that all layers are of one shape and each fits in another's place."""
    base = tiny_config()
    old, config = (
        replace(base, decoder=replace(base.decoder, layers=layers, channels=channels))  # type: ignore[arg-type]
        for layers in (before, now)
    )
    saved(tmp_path / "a.safetensors", old)
    new = tiny_network(config, seed=3)
    fresh = {key: value.clone() for key, value in new.state_dict().items()}
    taken = transfer(new, tmp_path / "a.safetensors", CATEGORIES)
    assert taken.decoders == ["semantic", "affinity.extractor"]
    assert taken.semantic == []
    assert taken.detection == ["disc", "box"]
    assert {key for key in fresh if key.startswith(("semantic.", "affinity."))} == set(taken.left)
    assert all(torch.equal(new.state_dict()[key], fresh[key]) for key in taken.left)


def test_a_mask_free_network_starts_from_one_with_masks_and_back(tmp_path: Path) -> None:
    saved(tmp_path / "a.safetensors")
    assert transfer(tiny_network(tiny_config(masks=False)), tmp_path / "a.safetensors", CATEGORIES).left == []
    saved(tmp_path / "b.safetensors", tiny_config(masks=False))
    left = transfer(tiny_network(), tmp_path / "b.safetensors", CATEGORIES).left
    assert left
    assert all(key.startswith("detection.mask_") for key in left)


@pytest.mark.parametrize(("before", "now"), [(0, 5), (5, 0), (5, 3)])
def test_affinities_are_kept_whatever_the_code_of_place(before: int, now: int, tmp_path: Path) -> None:
    """The positional encoding widens phi; a phi drawn anew would forget all that affinities have learned."""
    base = tiny_config()
    old, new = (replace(base, affinity=replace(base.affinity, positional_encoding=places)) for places in (before, now))
    stored = saved(tmp_path / "a.safetensors", old)
    with torch.no_grad():  # so that without its positional encoding the old network is the same as the new one
        for phi in (stored.affinity.phi0, stored.affinity.phi1):
            phi.weight[:, len(phi.weight) :] = 0
    network = tiny_network(new, seed=3)
    assert transfer(network, tmp_path / "a.safetensors", CATEGORIES).left == []
    batch = image_batch(1, seed=2)
    with torch.no_grad():
        expected, found = stored(batch), network.eval()(batch)
    assert torch.allclose(found.panoptic[0], expected.panoptic[0], atol=1e-6)
    assert not torch.allclose(expected.panoptic[0], expected.potentials[0], atol=1e-3)  # they do something


def test_transfer_between_other_places_of_the_stride_is_refused(tmp_path: Path) -> None:
    base = eager(tiny_config())
    there = replace(base, backbone=replace(base.backbone, depth=50))
    here = replace(there, backbone=replace(there.backbone, stride_in_1x1=True))
    saved(tmp_path / "a.safetensors", there)
    message = "its backbone has backbone.stride_in_1x1=False, this experiment True; give the experiment the same"
    with pytest.raises(ValueError, match=message):
        transfer(tiny_network(here), tmp_path / "a.safetensors", CATEGORIES)
    assert transfer(tiny_network(there, seed=3), tmp_path / "a.safetensors", CATEGORIES).left == []


@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("decoder.stride", 3, "3 is not 1, 2 or 4"),
        ("potential.variant", "Z", "'Z' is not A, B or C"),
        ("affinity.normalise", "x", "'x' is not none, pixels, segment or softmax"),
        ("inference.score_threshold", float("nan"), "nan is not a number from 0 to 1"),
        ("detection.nms_threshold", float("nan"), "nan is not a number from 0 to 1"),
        ("affinity.channels", -8, "-8 is not a whole number from 1 to 65536"),
        ("backbone.width", 10**100, r"10+\.\.\. is not a whole number from 1 to 65536"),
        ("detection.anchor_sizes", [8, 16], r"\(8, 16\) is not a tuple of 5 entries"),
        ("detection.anchor_sizes", 8, "8 is not a tuple of 5 entries"),
        ("train.ema_decay", 2, r"2 is not in \[0, 1\)"),
        ("train.lr", "fast", "'fast' is not a finite number above 0"),
        ("decoder.groups", 0, "0 is not a whole number from 1 to 65536"),
        ("detection.masks", 1, "1 is not True or False"),
        ("backbone.network", None, "None is not text"),
        ("train", [1], "a table of fields is needed, this is list"),
    ],
)
def test_a_wrong_value_in_the_header_is_named_with_its_range(
    field: str, value: object, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.safetensors"
    config = asdict(tiny_config())
    section, _, key = field.partition(".")
    config[section] = config[section] | {key: value} if key else value
    with_header(path, config=json.dumps(config))
    with pytest.raises(ValueError, match=rf"bad\.safetensors: cannot be opened \(.*{field}: {said}") as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def with_header(path: Path, **header: str) -> None:
    """A checkpoint of the tiny network with some entries of its header replaced."""
    saved(path)
    sound = {"format": "unipan-1", "categories": json.dumps(CATEGORIES.to_coco()), "metrics": "{}"}
    config = json.dumps(asdict(eager(tiny_config())))
    save_file(load_file(path), path, metadata=sound | {"config": config} | header)


@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize(
    "header",
    [
        {"config": "[]"},
        {"config": "[" * 100_000},
        {"config": "null"},
        {"categories": "5"},
        {"categories": "{}"},
        {"categories": "[1]"},
        {"metrics": "null"},
        {"metrics": "["},
    ],
)
def test_a_header_of_another_shape_is_one_sentence(header: dict[str, str], tmp_path: Path) -> None:
    with_header(tmp_path / "bad.safetensors", **header)
    with pytest.raises(ValueError, match=r"bad\.safetensors: cannot be opened") as caught:
        load_checkpoint(tmp_path / "bad.safetensors")
    assert len(str(caught.value)) < 400


def test_sizes_are_compared_before_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config of 4 TB of weights and a file of a few MB: two names and a count, and no network."""
    base = tiny_config()
    wide = replace(
        base,
        backbone=replace(base.backbone, width=4096, fpn_channels=65536),
        detection=replace(base.detection, box_features=65536, mask_channels=65536, mask_layers=100),
    )
    with_header(tmp_path / "a.safetensors", config=json.dumps(asdict(wide)))
    monkeypatch.setattr("unipan.checkpoint.read_state", lambda _: pytest.fail("weights were read"))
    with pytest.raises(ValueError, match=r"its weights do not fit its config: \d+ of \d+ tensors differ \(") as caught:
        load_checkpoint(tmp_path / "a.safetensors")
    assert str(caught.value).count("detection.") + str(caught.value).count("backbone.") == 2
    assert len(str(caught.value)) < 400


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    path, state = tmp_path / "a.safetensors", tiny_network().state_dict()
    for name, value in (("semantic.project.bias", float("nan")), ("affinity.phi0.weight", float("-inf"))):
        state[name] = state[name].clone()
        state[name].view(-1)[1] = value
    save_checkpoint(path, state, tiny_config(), CATEGORIES, {})
    said = r"a\.safetensors: 1 of the \d+ weights in affinity\.phi0\.weight are NaN or infinite, and 1 more tensors"
    with pytest.raises(ValueError, match=said):
        load_checkpoint(path)
    with pytest.raises(ValueError, match=said):
        transfer(tiny_network(), path, CATEGORIES)


@pytest.mark.parametrize("frozen", [True, False])
def test_counters_of_batches_may_be_missing_or_left_over(frozen: bool, tmp_path: Path) -> None:
    base = eager(tiny_config())
    here = replace(base, backbone=replace(base.backbone, depth=18, frozen=frozen, weights="imagenet"))
    there = replace(here, backbone=replace(here.backbone, frozen=not frozen))
    save_checkpoint(tmp_path / "a.safetensors", tiny_network(there).state_dict(), here, CATEGORIES, {})
    load_checkpoint(tmp_path / "a.safetensors")
