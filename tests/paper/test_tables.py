"""Do the paper's tables bear out its text, and each other? Arithmetic on its own numbers; no data is needed."""

import pytest

from tests.paper.tables import (
    CITYSCAPES,
    COCO,
    TABLE_1,
    TABLE_2_BOXES,
    TABLE_2_MASKS,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    TABLE_F,
    TABLE_G,
    TABLE_H,
    TABLE_I,
    TABLE_J,
    Table,
    gain,
)


def best_but_ours(table: Table) -> float:
    return max(row["PQ"] for name, row in table.items() if not name.startswith("Ours"))


# ---- Sec. 4.1, Table 1 -----------------------------------------------------------------------------------------


def test_what_each_part_brings() -> None:
    affinity = gain(TABLE_1["B"], TABLE_1["A"])  # without masks
    assert [affinity[name] for name in ("PQ", "PQth", "PQst", "RQ")] == [4.4, 4.2, 4.4, 4.0]
    assert gain(TABLE_1["D2"], TABLE_1["C2"])["PQ"] == 1.8  # with masks
    assert gain(TABLE_1["D1"], TABLE_1["C1"])["PQ"] == 1.3  # the panoptic loss, under heuristic fusion
    assert gain(TABLE_1["D2"], TABLE_1["D1"])["PQ"] == 0.8  # argmax of P instead of heuristic fusion


def test_from_a_to_b_every_metric_rises_pq_and_rq_most() -> None:
    affinity = gain(TABLE_1["B"], TABLE_1["A"])
    assert min(affinity.values()) > 0
    largest = sorted(affinity, key=lambda name: affinity[name], reverse=True)[:4]
    assert set(largest) == {"PQ", "PQth", "PQst", "RQ"}


def test_with_masks_the_trend_holds_for_all_but_the_masks_own_ap() -> None:
    affinity = gain(TABLE_1["D2"], TABLE_1["C2"])
    assert {name for name, value in affinity.items() if value <= 0} == {"APmask"}
    assert affinity["APmask"] == -0.1


def test_pairs_that_are_one_network_share_v_and_the_detections() -> None:
    for one, other in (("C1", "C2"), ("D1", "D2")):
        assert all(TABLE_1[one][name] == TABLE_1[other][name] for name in ("IoU", "APmask", "APbox"))


def test_what_argmax_gains_over_heuristic_fusion_is_all_in_things() -> None:
    """D2 "outperforms" D1, and C2 C1: in the mean. Stuff loses a little both times, and C2 recognises less than C1."""
    for argmax, heuristic, things in (("C2", "C1", 1.0), ("D2", "D1", 2.3)):
        step = gain(TABLE_1[argmax], TABLE_1[heuristic])
        assert step["PQ"] > 0
        assert step["PQth"] == things
        assert step["PQst"] == -0.2
    assert gain(TABLE_1["C2"], TABLE_1["C1"])["RQ"] == -0.3


# ---- Sec. 4.2, Tables 2 to 5 -----------------------------------------------------------------------------------


def test_the_quoted_leads() -> None:
    assert gain(TABLE_2_MASKS["Ours"], TABLE_2_MASKS["UPSNet"])["PQ"] == 2.1
    on_coco = gain(TABLE_3["Ours"], TABLE_3["UPSNet"])
    assert (on_coco["PQ"], on_coco["PQst"]) == (0.9, 2.1)
    # "previous state-of-art": on COCO the gain is in stuff alone, and V's own IoU is lower.
    assert (on_coco["PQth"], on_coco["IoU"]) == (0.0, -0.6)


@pytest.mark.parametrize(
    ("table", "lead"),
    [(TABLE_2_BOXES, 0.6), (TABLE_2_MASKS, 1.1), (TABLE_3, 0.9), (TABLE_4, 2.6), (TABLE_5, 0.6)],
)
def test_ours_leads_each_table(table: Table, lead: float) -> None:
    ours = max(row["PQ"] for name, row in table.items() if name.startswith("Ours"))
    assert round(ours - best_but_ours(table), 1) == lead


def test_plus_3_5_without_instance_segmentation_is_refuted_by_table_2() -> None:
    ours = TABLE_2_BOXES["Ours"]
    found = [gain(ours, TABLE_2_BOXES[name])["PQ"] for name in ("Li et al.", "DeeperLab", "SSAP")]
    assert found == [5.2, 2.5, 0.6]


def test_a_resnet_101_is_the_stronger_backbone() -> None:
    """Li et al.'s, by Table 4; what it is worth in the paper's own network, by Table 5."""
    assert "Li et al. R-101" in TABLE_4
    assert gain(TABLE_5["Ours R-101"], TABLE_5["Ours R-50"])["PQ"] == 3.6


def test_not_every_network_of_theirs_is_a_resnet_50() -> None:
    ours = [{name for name in table if name.startswith("Ours")} for table in (TABLE_4, TABLE_5)]
    assert ours == [{"Ours R-50", "Ours* R-101"}, {"Ours R-50", "Ours R-101"}]  # * pretrained on COCO


def test_boxes_alone_stand_between_panoptic_fpn_and_upsnet_with_masks() -> None:
    ours = TABLE_2_BOXES["Ours"]["PQ"]
    assert TABLE_2_MASKS["Panoptic FPN"]["PQ"] < ours < TABLE_2_MASKS["UPSNet"]["PQ"]
    assert round(TABLE_2_MASKS["UPSNet"]["PQ"] - ours, 1) == 0.3


# ---- supplementary, Tables F to J ------------------------------------------------------------------------------


def test_variants_b_and_c() -> None:
    assert gain(TABLE_F["Cityscapes B"], TABLE_F["Cityscapes C"])["PQ"] == 1.1
    assert gain(TABLE_F["COCO C"], TABLE_F["COCO B"])["PQ"] == 0.7


def test_table_f_prints_the_stuff_sq() -> None:
    printed, true = TABLE_F["Cityscapes B"], TABLE_1["D2"]
    assert (printed["PQ"], printed["RQ"]) == (true["PQ"], true["RQ"])
    assert printed["SQ"] == TABLE_J["Cityscapes masks"]["SQst"] != true["SQ"]


def test_things_are_taken_for_stuff_more_often_on_coco() -> None:
    assert all(sum(row.values()) == pytest.approx(100) for row in TABLE_G.values())
    assert TABLE_G["COCO things"]["stuff"] == 9.9 > TABLE_G["Cityscapes things"]["stuff"] == 4.9
    # Cityscapes is the one-sided case: there, stuff is never taken for things.
    assert TABLE_G["Cityscapes stuff"]["things"] == 0 < TABLE_G["COCO stuff"]["things"]


def test_predicted_boxes_beat_true_ones_in_training() -> None:
    step = gain(TABLE_H["Predictions"], TABLE_H["Ground truths"])
    assert step == {"PQ": 0.4, "SQ": 0.1, "RQ": 0.4, "IoU": 0.0, "APbox": 1.3}
    # With true boxes the detector is as good as model A's, which has no panoptic loss at all.
    assert TABLE_H["Ground truths"]["APbox"] == pytest.approx(TABLE_1["A"]["APbox"], abs=0.11)


def test_trimming_small_stuff_is_worth_2_points_of_stuff() -> None:
    steps = [gain(TABLE_I[f"{name} trimmed"], TABLE_I[name]) for name in ("Panoptic FPN", "UPSNet", "Ours")]
    mean = {name: sum(step[name] for step in steps) / 3 for name in steps[0]}
    assert [mean["PQst"], mean["RQst"]] == pytest.approx([2.17, 2.53], abs=0.01)
    assert all(-0.2 <= step["IoUst"] <= -0.1 for step in steps)


def test_untrimmed_the_full_network_has_60_2_and_no_lead() -> None:
    """The headline 61.4 contains the trimming, "without any post-processing" or not."""
    assert TABLE_I["Ours trimmed"]["PQst"] == TABLE_1["D2"]["PQst"]
    untrimmed = mean_over_classes(TABLE_1["D2"]["PQth"], TABLE_I["Ours"]["PQst"], CITYSCAPES)
    assert untrimmed == pytest.approx(60.2, abs=0.05)
    assert untrimmed < best_but_ours(TABLE_2_MASKS) == TABLE_2_MASKS["Seamless"]["PQ"]
    theirs = mean_over_classes(TABLE_2_MASKS["UPSNet"]["PQth"], TABLE_I["UPSNet"]["PQst"], CITYSCAPES)
    assert untrimmed - theirs == pytest.approx(2.2, abs=0.05)


# ---- the tables among each other -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TABLE_1["D2"], TABLE_2_MASKS["Ours"]),
        (TABLE_1["D2"], TABLE_J["Cityscapes masks"]),
        (TABLE_1["B"], TABLE_2_BOXES["Ours"]),
        (TABLE_1["B"], TABLE_J["Cityscapes boxes"]),
        (TABLE_1["B"], TABLE_H["Predictions"]),
        (TABLE_3["Ours"], TABLE_J["COCO masks"]),
        (TABLE_3["Ours"], TABLE_F["COCO C"]),
    ],
)
def test_one_network_has_one_row(one: dict[str, float], other: dict[str, float]) -> None:
    step = gain(one, other)
    assert len(step) >= 3
    assert set(step.values()) == {0.0}


def test_table_i_trims_the_row_of_table_j() -> None:
    trimmed, row = TABLE_I["Ours trimmed"], TABLE_J["Cityscapes masks"]
    assert all(trimmed[name] == row[name] for name in ("PQst", "SQst", "RQst"))
    assert trimmed["IoUst"] != row["IoUst"], "of the panoptic map in I, of V in J, as the caption of I says"


def mean_over_classes(things: float, stuff: float, counts: tuple[int, int]) -> float:
    return (counts[0] * things + counts[1] * stuff) / sum(counts)


STREETS = [TABLE_1, TABLE_2_BOXES, TABLE_2_MASKS, TABLE_4, {k: v for k, v in TABLE_J.items() if "COCO" not in k}]
PHOTOS = [TABLE_3, TABLE_5, {"COCO": TABLE_J["COCO masks"]}]


@pytest.mark.parametrize(("tables", "counts", "least"), [(STREETS, CITYSCAPES, 25), (PHOTOS, COCO, 20)])
def test_every_figure_is_the_mean_over_classes(tables: list[Table], counts: tuple[int, int], least: int) -> None:
    """PQ, SQ, RQ and IoU of all, from those of things and stuff: also a check that we copied the tables rightly."""
    complete = 0
    for row in (row for table in tables for row in table.values()):
        for name in ("PQ", "SQ", "RQ", "IoU"):
            if f"{name}th" in row and f"{name}st" in row:
                mean = mean_over_classes(row[f"{name}th"], row[f"{name}st"], counts)
                assert mean == pytest.approx(row[name], abs=0.1)
                complete += 1
    assert complete >= least


def test_pq_is_sq_times_rq_per_class_alone() -> None:
    row = TABLE_1["D2"]
    product = row["SQ"] * row["RQ"] / 100
    assert product == pytest.approx(60.6, abs=0.05)
    assert row["PQ"] - product > 0.5


def test_counts_add_up() -> None:
    assert 4 * 8 == 32  # crops over GPUs
    assert sum(CITYSCAPES) == 19
    assert sum(COCO) == 133
    assert 2975 + 500 + 1525 == 5000
    epochs = 32 * 65_000 / 2975
    assert epochs == pytest.approx(699, abs=1)
