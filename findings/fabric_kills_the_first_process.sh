#!/usr/bin/env bash
# Lightning Fabric 2.6.6 (torch 2.15.0, Python 3.11), two processes of `fabric.launch()` on a CPU, the second of which ends with
# status 3.
# Guess: as with torch.multiprocessing and torchrun, the first process gets an exception, or a signal that it can answer: its
# `finally` and `atexit` run, and the command ends with status 3, or 1.
# Seen: an observer thread looks at the children every 5 seconds, and sends SIGKILL to all processes, its own included. Nothing
# of the first process runs any more, so nothing is saved or closed, and the command's status is 137, which a scheduler or a
# person takes for the system's out-of-memory killer.
# Output seen: "first process works"
# Output seen: "status 137"
# Output seen: nothing of "except", "finally" and "atexit"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check lightning-fabric==2.6.6 torch==2.15.0 numpy==2.2.6
cat > two.py <<'PY'
import atexit
import sys
import time

from lightning_fabric import Fabric

fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
if fabric.global_rank == 1:
    time.sleep(1)
    sys.exit(3)
atexit.register(print, "atexit", flush=True)
try:
    print("first process works", flush=True)
    time.sleep(20)
    print("first process is done", flush=True)
except BaseException:
    print("except", flush=True)
    raise
finally:
    print("finally", flush=True)
PY
status=0
env/bin/python two.py > seen.txt 2> errors.txt || status=$?
echo "status $status" >> seen.txt
cat seen.txt
printf 'first process works\nstatus 137\n' | diff - seen.txt || { echo "no longer so"; exit 1; }
