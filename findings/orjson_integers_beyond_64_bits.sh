#!/usr/bin/env bash
# orjson 3.11.4 and Python's json.
# Guess: an integer that does not fit 64 bits is either exact, as with json, or refused: orjson.dumps refuses it.
# Seen: orjson.loads returns a float without a word, so that two category ids of a labelling tool that exports hashes
# of 77 digits become one. unipan reads JSON with msgspec, which is exact.
# Output seen: "json keeps 2 ids; orjson.loads keeps 1, as float; orjson.dumps refuses"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check orjson==3.11.4
env/bin/python - <<'PY'
import json

import orjson

ids = [10**76 + 1, 10**76 + 2]
text = json.dumps([{"id": each} for each in ids])
kept = {row["id"] for row in json.loads(text)}
found = {row["id"] for row in orjson.loads(text)}
try:
    orjson.dumps(ids)
    written = "writes"
except TypeError:
    written = "refuses"
kinds = {type(each).__name__ for each in found}
print(f"json keeps {len(kept)} ids; orjson.loads keeps {len(found)}, as {kinds.pop()}; orjson.dumps {written}")
assert len(kept) == 2 and len(found) == 1 and written == "refuses"
PY
