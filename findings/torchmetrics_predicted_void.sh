#!/usr/bin/env bash
# torchmetrics 1.9.0 with torch 2.13.0, Python 3.11.
# Guess: in `PanopticQuality` a pixel that the truth labels and the prediction leaves void (an unknown category, with
# `allow_unknown_preds_category=True`) is one that the prediction missed: it counts in the union, as in panopticapi.
# Seen: such pixels are taken out of the union, for they are void on one side. One labelled pixel of sixteen gives an IoU
# of 1 and a PQ of 1, and a segment of which nothing is left is not even a false negative: alone its PQ is NaN, beside a
# perfect image PQ is 1. A model that leaves void whatever it is unsure of is scored on the rest alone. panopticapi takes
# out of the union what the *truth* leaves void, no more.
# Output seen: "stuff of 16 pixels, predicted 16: PQ 1.00; 8: PQ 1.00; 1: PQ 1.00; 0: PQ nan; 16 in one image and 0 in another: PQ 1.00"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 torchmetrics==1.9.0
env/bin/python -W ignore - <<'PY'
import torch
from torchmetrics.detection import PanopticQuality

ROAD, CAR, UNKNOWN = 0, 1, 9


def pq(*labelled):
    """Of images of 16 pixels of road, so many of which are predicted as road and the others as nothing."""
    metric = PanopticQuality(things={CAR}, stuffs={ROAD}, allow_unknown_preds_category=True)
    for count in labelled:
        truth = torch.zeros(1, 16, 2, dtype=torch.int)  # category and instance of every pixel
        prediction = truth.clone()
        prediction[0, count:, 0] = UNKNOWN
        metric.update(prediction, truth)
    return f"{float(metric.compute()):.2f}"


found = {count: pq(count) for count in (16, 8, 1, 0)}
text = "; ".join(f"{count}: PQ {value}" for count, value in found.items())
print(f"stuff of 16 pixels, predicted {text}; 16 in one image and 0 in another: PQ {pq(16, 0)}")
assert found == {16: "1.00", 8: "1.00", 1: "1.00", 0: "nan"}, found
assert pq(16, 0) == "1.00"
PY
