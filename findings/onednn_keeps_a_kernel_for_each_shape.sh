#!/usr/bin/env bash
# torch 2.14.1 on a CPU (oneDNN), Python 3.11, Linux.
# Guess: a network that sees batches of many sizes, without gradients and with nothing kept, holds in the end as much memory as
# its largest batch needed.
# Seen: it holds more with each new size, because oneDNN keeps up to 1024 compiled primitives with what they work in. Four
# convolutions of 64 channels, batches of 1 to 300 maps of 8 x 8: hundreds of MB more than before, where 8 MB are the largest
# batch's maps; with ONEDNN_PRIMITIVE_CACHE_CAPACITY=8 (set before torch is imported) a few. A detector's number of boxes is
# such a size: a training on a CPU grows for hundreds of steps.
# Output seen: "300 sizes of a batch: 438 MB more"
# Output seen: "the same with room for 8 primitives: 14 MB more"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.14.1
cat > grow.py <<'PY'
import torch
from torch import nn

torch.set_num_threads(1)
network = nn.Sequential(*[nn.Conv2d(64, 64, 3, padding=1) for _ in range(4)]).eval()


def megabytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20


with torch.no_grad():
    network(torch.zeros(300, 64, 8, 8))
    before = megabytes()
    for maps in range(1, 301):
        network(torch.zeros(maps, 64, 8, 8))
print(megabytes() - before)
PY
kept=$(env/bin/python grow.py)
bounded=$(ONEDNN_PRIMITIVE_CACHE_CAPACITY=8 env/bin/python grow.py)
echo "300 sizes of a batch: $kept MB more"
echo "the same with room for 8 primitives: $bounded MB more"
test "$kept" -ge 100
test "$bounded" -le 40
