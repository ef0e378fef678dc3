#!/usr/bin/env bash
# torch 2.15.0 on a CPU (oneDNN), Python 3.11, Linux.
# Guess: the number of threads says how the work of an operation is shared out, not which kernel does it.
# Seen: a 1x1 convolution of one 32-bit image is oneDNN's with two threads; with one it is `_slow_conv2d`, a matrix product by
# MKL, so its last bits differ, and its time is another library's (twice as long on an AMD EPYC with AVX-512). 3x3 kernels
# and bf16 are oneDNN's with any number. So timings with one thread, or results that should not depend on threads, compare
# libraries without saying so.
# Output seen: "1x1, one thread: _slow_conv2d_forward"
# Output seen: "1x1, two threads: mkldnn_convolution"
# Output seen: "3x3, one thread: mkldnn_convolution"
# Output seen: "1x1, one thread, bf16: mkldnn_convolution"
set -euo pipefail
wanted=$(sed -n 's/^# Output seen: "\(.*\)"$/\1/p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.15.0
cat > kernels.py <<'PY'
import torch
from torch.nn.functional import conv2d
from torch.profiler import ProfilerActivity, profile


def kernel(side: int, threads: int, dtype: torch.dtype) -> str:
    torch.set_num_threads(threads)
    image = torch.ones(1, 64, 64, 64, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.ones(64, 64, side, side, dtype=dtype)
    with profile(activities=[ProfilerActivity.CPU]) as seen, torch.inference_mode():
        conv2d(image, weight, padding=side // 2)
    names = {event.key for event in seen.key_averages()}
    return next(name for name in ("mkldnn_convolution", "_slow_conv2d_forward") if f"aten::{name}" in names)


print("1x1, one thread:", kernel(1, 1, torch.float32))
print("1x1, two threads:", kernel(1, 2, torch.float32))
print("3x3, one thread:", kernel(3, 1, torch.float32))
print("1x1, one thread, bf16:", kernel(1, 1, torch.bfloat16))
PY
seen=$(env/bin/python kernels.py 2> errors)
echo "$seen"
test "$seen" = "$wanted"
