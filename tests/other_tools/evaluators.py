"""What other evaluators say of special cases, as JSON; runs in an environment that has them, without unipan."""

import json

import numpy as np
import torch
from empanada.evaluation import panoptic_quality
from lightly_train._metrics.panoptic_segmentation.panoptic_quality import PanopticQuality
from monai.metrics import PanopticQualityMetric
from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator

EMPTY = np.zeros((40, 40), np.uint8)


def empanada_of_empty_maps() -> float:
    return float(panoptic_quality(*[np.zeros(0)] * 5))


def monai_of_empty_maps() -> float:
    metric = PanopticQualityMetric(num_classes=1)
    metric(torch.zeros(1, 2, 40, 40), torch.zeros(1, 2, 40, 40))
    return float(metric.aggregate())


def panoptica_of(prediction: np.ndarray, truth: np.ndarray) -> float:
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(matching_threshold=0.5),
        verbose=False,
        log_times=False,
    )
    return float(next(iter(evaluator.evaluate(prediction, truth, verbose=False).values())).pq)


def lightly_train_of_two_classes_of_four() -> float:
    """Prediction and truth are the same; the last class is that of ignored pixels, which it leaves out itself."""
    classes = {"things": [0, 1], "thing_class_names": ["a", "b"]}
    classes |= {"stuffs": [2, 3, 4], "stuff_class_names": ["c", "d", "ignored"]}
    metric = PanopticQuality(prefix="val", classwise=False, return_sq_and_rq=True, **classes)
    both = torch.zeros(1, 40, 40, 2, dtype=torch.long)
    both[:, 20:, :, 0] = 2
    metric.update(both, both)
    return float(metric.compute()["val/pq"])


if __name__ == "__main__":
    whole, half = EMPTY.copy(), EMPTY.copy()
    whole[:10, :10] = half[:10, :5] = 1
    said = {
        "empanada, two empty maps": empanada_of_empty_maps(),
        "MONAI, two empty maps": monai_of_empty_maps(),
        "panoptica, two empty maps": panoptica_of(EMPTY, EMPTY),
        "panoptica, half of an object": panoptica_of(half, whole),
        "lightly-train, two classes of four": lightly_train_of_two_classes_of_four(),
    }
    print("SAID", json.dumps({name: None if np.isnan(value) else value for name, value in said.items()}))
