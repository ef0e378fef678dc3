#!/usr/bin/env bash
# Python 3.11's subprocess and resource on Linux 6, numpy 2.4.6.
# Guess: a process that a test or a benchmark starts tells by `getrusage(RUSAGE_SELF).ru_maxrss` the most memory that it had
# itself, and so does `os.wait4` to the one that started it.
# Seen: it is at least what the *starting* process had at most, also if that has given the memory back: subprocess borrows
# the parent's memory (vfork) until the new program begins, and Linux counts that for the program too. A small program that a
# process with a network starts seems as large as the network. VmHWM of /proc/self/status begins anew with each program.
# Output seen: "python -c pass: MiB by wait4 at least 800: no; after the parent has held and freed 800 MiB: yes; VmHWM below 100: yes"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6
env/bin/python - <<'PY'
import os
import subprocess
import sys

import numpy as np

OWN_PEAK = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"


def by_wait4():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    return os.wait4(child.pid, 0)[2].ru_maxrss // 1024


before = by_wait4()
held = np.ones(800 << 17)  # 8 bytes each
del held
after = by_wait4()
own = int(subprocess.check_output([sys.executable, "-c", OWN_PEAK])) // 1024
yes = {False: "no", True: "yes"}
print(
    f"python -c pass: MiB by wait4 at least 800: {yes[before >= 800]}; after the parent has held and freed 800 MiB: "
    f"{yes[after >= 800]}; VmHWM below 100: {yes[own < 100]}"
)
assert before < 200 and after >= 800 and own < 100
PY
