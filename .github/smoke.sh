#!/usr/bin/env bash
# The base installation at work, from the command line: draw scenes, check, convert and score them.
#   bash .github/smoke.sh BIN
set -euo pipefail
bin=$(cd "$1" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$bin/unipan" --version
"$bin/unipan" scenes --count 4 --seed 4000000 --out data
"$bin/unipan" data check data
"$bin/unipan" data convert data png16:deep
"$bin/unipan" data convert png16:deep back
"$bin/unipan" pq data/panoptic.json back/panoptic.json --explain --html report --json scores.json
"$bin/python" - <<'PYTHON'
import json
from pathlib import Path

import unipan

scores = json.loads(Path("scores.json").read_text())["strict"]["All"]
assert scores["pq"] == 1, scores
print(unipan.__version__, scores)
PYTHON
