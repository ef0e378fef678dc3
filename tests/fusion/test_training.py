"""Both baselines as experiments: what they are made of, a training step, a whole run, and what comes out of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.models.test_network import trained
from tests.tiny import CATEGORIES, HEIGHT, WIDTH, Drawn, S, T, draw, eager, image_batch, square_target, tiny_config
from tests.tiny import tiny_network as network_of
from tests.training.test_trainer import rows_of, trainer_of
from unipan.analysis.evaluate import evaluate
from unipan.analysis.oracles import OWN, SWAPS, oracle_swaps
from unipan.build import build_network
from unipan.checkpoint import load_checkpoint
from unipan.config import Config
from unipan.inference import Segmenter
from unipan.models.semantic_sum import SummingDecoder
from unipan.presets import BASELINES, PRESETS, panoptic_fpn, preset, split_baseline, upsnet

KINDS = [["normal", "normal"], ["no thing"], ["void"], ["normal", "no thing", "void"]]


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_becomes_a_baseline(name: str, baseline: str) -> None:
    config = preset(f"{name}_{baseline}")
    base = PRESETS[name]()
    assert config.name == f"{name}_{baseline}"
    assert split_baseline(config.name) == (name, baseline)
    assert (config.data, config.train, config.heuristic) == (base.data, base.train, base.heuristic)
    with torch.device("meta"):
        network = build_network(config, CATEGORIES)
    assert network.affinity is None
    assert network.detection.mask_pool is not None
    assert not any("excite" in key for key in network.state_dict())
    assert not network.temperature.requires_grad
    summing = isinstance(network.semantic, SummingDecoder)
    assert summing == (baseline == "panoptic_fpn")
    assert network.potential.void_channel == network.detection.use_gt_boxes == (baseline == "upsnet")


def test_the_numbers_of_the_baselines() -> None:
    """UPSNet's published weights: 1 / 0.5 on Cityscapes, 0.2 / 0.1 on COCO; seven tenths of the boxes are kept."""
    for name, semantic, panoptic in (("cityscapes", 1.0, 0.5), ("coco", 0.2, 0.1)):
        config = preset(f"{name}_upsnet")
        assert (config.loss.semantic, config.loss.panoptic) == (semantic, pytest.approx(panoptic))
        assert (config.matching.gt_box_keep_rate, config.matching.use_gt_boxes, config.matching.stride) == (
            0.7,
            True,
            4,
        )
        assert (config.upsnet.nms_threshold, config.upsnet.score_threshold, config.upsnet.overlap_threshold) == (
            0.5,
            0.6,
            0.3,
        )
    baseline = preset("coco_panoptic_fpn")
    assert (baseline.loss.panoptic, baseline.inference.fusion) == (0, "heuristic")
    assert (baseline.decoder.channels, baseline.decoder.groups, baseline.decoder.deformable) == (128, 32, False)


@pytest.mark.parametrize("name", ["upsnet", "scenes_mask", "scenes_upsnet_upsnet", "scenes_upsnet_panoptic_fpn"])
def test_a_preset_that_does_not_exist(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}'"):
        preset(name)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("kinds", KINDS)
def test_every_parameter_gets_a_gradient(kinds: list[str], baseline: str, threshold: float) -> None:
    base = BASELINES[baseline](tiny_config())
    config = replace(base, detection=replace(base.detection, score_threshold=threshold))
    network, _, _ = trained(config, kinds)
    taught = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    assert [name for name, p in taught if p.grad is None or not p.grad.isfinite().all()] == []
    assert {name for name, p in network.named_parameters() if not p.requires_grad} <= {"temperature"}


def kept_rows(keep: float) -> list[int]:
    """How many of the two true boxes are handed on in 40 training steps' forward passes."""
    base = upsnet(tiny_config())
    network = network_of(replace(base, matching=replace(base.matching, gt_box_keep_rate=keep))).train()
    torch.manual_seed(5)
    with torch.no_grad():
        outputs = [network(image_batch(2), [square_target(), square_target()]) for _ in range(20)]
    return [len(found) for output in outputs for found in output.detections]


def test_true_boxes_are_left_out_at_random() -> None:
    assert set(kept_rows(1.0)) == {2}
    rows = kept_rows(0.7)
    assert set(rows) == {0, 1, 2}
    assert 1.1 < sum(rows) / len(rows) < 1.7  # 1.4 expected, standard error .1


def test_things_left_out_are_taught_to_be_void() -> None:
    network = network_of(upsnet(tiny_config())).train()
    seen = set()
    torch.manual_seed(1)
    for _ in range(12):
        output = network(image_batch(), [square_target()])
        found, labels = output.detections[0], output.labels[0]
        void = len(found) + S
        assert output.panoptic[0].shape == (void + 1, HEIGHT // 4, WIDTH // 4)
        assert output.panoptic[0] is output.potentials[0]
        left_out = {0, 1} - set(found.classes.tolist())
        # Cells of the disc (4, 4) and of the box (8, 18).
        for thing, (y, x) in enumerate([(4, 4), (8, 18)]):
            expected = void if thing in left_out else found.classes.tolist().index(thing)
            assert labels[y, x] == expected
        assert labels[0, 0] == len(found)  # sky stays sky
        seen.add(tuple(sorted(left_out)))
    assert seen >= {(0,), (1,)}


def test_void_in_the_truth_does_not_teach_the_void_channel() -> None:
    network = network_of(upsnet(tiny_config())).train()
    output = network(image_batch(), [square_target(void=True)])
    assert (output.labels[0] == -1).all()


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_run_and_its_checkpoint(baseline: str, tmp_path: Path) -> None:
    config = eager(BASELINES[baseline](tiny_config()))
    config = replace(
        config,
        upsnet=replace(config.upsnet, score_threshold=0.0),
        heuristic=replace(config.heuristic, score_threshold=0.0),
    )
    trainer = trainer_of(tmp_path, config)
    figures = trainer.run()
    row = rows_of(tmp_path)[-1]
    assert ("panoptic" in row) == (baseline == "upsnet")
    assert "potential" not in row
    segmenter = Segmenter.load(tmp_path / "last.safetensors")
    assert segmenter.config == config
    stored = load_checkpoint(tmp_path / "last.safetensors").network
    assert list(stored.state_dict()) == list(trainer.network.state_dict())
    # `best` is chosen by the experiment's own fusion.
    scored = evaluate(segmenter, Drawn([2, 3], 50), [config.inference.fusion, "potential"])
    own, psi = (scored.quality[fusion].compute()["All"] for fusion in (config.inference.fusion, "potential"))
    assert own is not None
    assert psi is not None
    assert figures["pq"] == pytest.approx(own.pq)
    assert figures["psi_pq"] == pytest.approx(psi.pq)
    assert trainer.progress.best == pytest.approx(max(float(r["pq"]) for r in rows_of(tmp_path) if r["pq"]), abs=1e-4)


def segmenter_of(config: Config) -> Segmenter:
    """An untrained network whose batch norms have seen something."""
    network = network_of(config)
    with torch.no_grad():
        network.train().backbone(torch.rand(4, 3, HEIGHT, WIDTH))
    return Segmenter(network.eval(), config, CATEGORIES, {}, torch.device("cpu"))


def test_every_fusion_of_upsnet_from_one_pass() -> None:
    config = eager(upsnet(tiny_config()))
    config = replace(config, inference=replace(config.inference, score_threshold=0.0))
    scene = segmenter_of(config).scene(draw(3).image)
    count = len(scene.network_detections)
    assert count > 0
    assert scene.potential.shape[0] == count + S + 1
    for fusion in ("upsnet", "heuristic", "potential", "affinity"):
        result = scene.result(fusion)
        assert result.ids.shape == (HEIGHT, WIDTH)
        assert {segment.id for segment in result} == set(result.ids.ravel().tolist()) - {0}
    # The void channel is nobody's segment: argmax of Psi leaves its pixels void.
    forced = scene.potential.clone()
    forced[-1] = forced.max() + 1
    blank = replace(scene, output=replace(scene.output, potentials=[forced])).result("potential")
    assert not blank.ids.any()
    assert len(blank) == 0


def test_without_a_detection_upsnet_has_stuff_and_void() -> None:
    config = upsnet(tiny_config())
    config = replace(config, detection=replace(config.detection, score_threshold=1.0))
    scene = segmenter_of(config).scene(draw(4).image)
    assert scene.potential.shape[0] == S + 1
    v = scene.semantic.float()
    torch.testing.assert_close(scene.potential[:S], v[T:])
    torch.testing.assert_close(scene.potential[S], v[:T].amax(0))
    assert not any(segment.isthing for segment in scene.result())


def test_a_network_without_void_is_told_what_upsnet_needs() -> None:
    image = draw(3).image
    for config in (tiny_config(), panoptic_fpn(tiny_config())):
        with pytest.raises(ValueError, match=f"fusion upsnet: {config.name} has no void channel; .* end in _upsnet"):
            segmenter_of(config)(image, "upsnet")
    with pytest.raises(ValueError, match="fusion upsnet: tiny has no masks; UPSNet"):
        segmenter_of(tiny_config(masks=False))(image, "upsnet")


def test_the_oracles_know_void() -> None:
    config = eager(upsnet(tiny_config()))
    found = oracle_swaps(segmenter_of(config), Drawn([3, 2]))
    assert list(found) == list(SWAPS)
    perfect, own = found["perfect P"].compute()["All"], found[OWN].compute()["All"]
    assert perfect is not None
    assert own is not None
    assert perfect.pq > 0.8 > own.pq
