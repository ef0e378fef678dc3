#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.1.0 and with pytest 9.2.0, Python 3.11.
# Guess: tests marked with the same xdist_group run in one process under --dist loadgroup, as the documentation says;
# an update of pytest by a minor version either keeps that or fails.
# Seen: with pytest 9.2 the mark has no effect and nothing says so. pytest-xdist appends the group to a test's private
# `_nodeid` ("test@group") in a hook, and distributes tests by `nodeid`, which does not show it. A fixture that is meant to
# be made once (a training, a server, a launch of two processes) is made in every process. --dist loadfile works.
# Output seen: "processes that a group of 8 tests ran in: pytest 9.1: 1, pytest 9.2: 2, pytest 9.2 with loadfile: 1"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > test_group.py <<'PY'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_it(number: int) -> None:
    time.sleep(0.2)  # long enough for the other process to ask for work
    with open("processes", "a") as file:
        file.write(f"{os.getpid()}\n")
PY
processes() {
    rm -f processes
    "$1/bin/python" -m pytest -q -n 2 --dist "$2" -p no:cacheprovider test_group.py > /dev/null
    sort -u processes | wc -l | tr -d ' '
}
for version in 9.1.0 9.2.0; do
    python3 -m venv "env-$version"
    "env-$version/bin/pip" install --quiet --disable-pip-version-check "pytest==$version" pytest-xdist==3.8.0
done
a=$(processes env-9.1.0 loadgroup)
b=$(processes env-9.2.0 loadgroup)
c=$(processes env-9.2.0 loadfile)
echo "processes that a group of 8 tests ran in: pytest 9.1: $a, pytest 9.2: $b, pytest 9.2 with loadfile: $c"
[ "$a" = 1 ] && [ "$b" = 2 ] && [ "$c" = 1 ]
