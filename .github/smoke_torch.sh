#!/usr/bin/env bash
# The bundled checkpoint at work, from the command line: predict drawn scenes, score them, draw an affinity.
#   bash .github/smoke_torch.sh BIN
set -euo pipefail
bin=$(cd "$1" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$bin/unipan" scenes --count 2 --seed 4000000 --out data
"$bin/unipan" predict scenes data/images --like data/panoptic.json --out out
"$bin/unipan" pq data/panoptic.json out/panoptic.json
"$bin/unipan" evaluate scenes data --limit 1
"$bin/unipan" affinity scenes data/images/*0.png --pixel 20 20 --out affinity.png
