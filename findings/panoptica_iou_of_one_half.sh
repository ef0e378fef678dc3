#!/usr/bin/env bash
# panoptica 2.1.7 (an evaluator of panoptic quality for medical images), numpy 2.2.6, Python 3.11.
# Guess: with a matching threshold of 0.5 it computes panoptic quality as defined (Kirillov et al., CVPR 2019): two segments
# match if their IoU is greater than 1/2, which is what makes the matching unique; and two empty maps have a quality.
# Seen: its threshold is inclusive. A prediction that covers half of an object, and nothing else, is a true positive (PQ 0.5
# instead of 0), and of two such halves, either of which could be the match, one is taken and the other is a false positive
# (PQ 1/3 instead of 0). Half of a small object is common where objects have few pixels. Two empty maps give NaN.
# Output seen: "half: PQ 0.5000 tp 1 fp 0 fn 0"
# Output seen: "two halves: PQ 0.3333 tp 1 fp 1 fn 0"
# Output seen: "a pixel less than half: PQ 0.0000 tp 0 fp 1 fn 1"
# Output seen: "two empty maps: PQ nan tp 0 fp 0 fn 0"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check panoptica==2.1.7 numpy==2.2.6
env/bin/python - > seen.txt <<'PY'
import numpy as np
from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator

evaluator = Panoptica_Evaluator(
    expected_input=InputType.UNMATCHED_INSTANCE,
    instance_matcher=NaiveThresholdMatching(matching_threshold=0.5),
    verbose=False,
    log_times=False,
)


def show(name, prediction, truth):
    found = next(iter(evaluator.evaluate(prediction, truth, verbose=False).values()))
    print(f"{name}: PQ {found.pq:.4f} tp {found.tp} fp {found.fp} fn {found.fn}")


empty = np.zeros((40, 40), np.uint8)
truth, half, halves, less = (empty.copy() for _ in range(4))
truth[:10, :10] = 1
half[:10, :5] = 1
halves[:10, :5], halves[:10, 5:10] = 1, 2
less[:10, :5] = 1
less[0, 0] = 0
show("half", half, truth)
show("two halves", halves, truth)
show("a pixel less than half", less, truth)
show("two empty maps", empty, empty)
PY
cat seen.txt
for line in "half: PQ 0.5000 tp 1 fp 0 fn 0" "two halves: PQ 0.3333 tp 1 fp 1 fn 0" \
  "a pixel less than half: PQ 0.0000 tp 0 fp 1 fn 1" "two empty maps: PQ nan tp 0 fp 0 fn 0"; do
  grep -qxF "$line" seen.txt || { echo "no longer so: $line"; exit 1; }
done
