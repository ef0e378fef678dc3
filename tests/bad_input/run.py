"""Runs the cases and writes what became of them, a JSON line each: `python -m tests.bad_input.run`.

Without --base everything that the extras bring has to be installed; with it nothing of that can be imported, as in a
base install. `--update` writes the table anew, to be read before it is committed.
"""

import argparse
import csv
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bad_input.case import AS_IT_IS, Case, Outcome
from tests.bad_input.warm import hide_extras, make_forking_cheap, warm_up

TABLE = Path(__file__).with_name("outcomes.csv")
COLUMNS = ("door", "case", "outcome", "status", "result")


def table(path: Path = TABLE) -> dict[tuple[str, str], dict[str, str]]:
    """The committed outcomes."""
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["door"], row["case"]): row for row in csv.DictReader(file)}


def write_table(rows: Iterable[dict[str, str]]) -> None:
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def run(base: bool, only: str, part: tuple[int, int, int], alone: bool = False) -> Iterator[dict[str, Any]]:
    """What becomes of cases.

    Args:
        base: as in a base install.
        only: a regular expression that finds something in "door: name".
        part: first, end and number of parts: (0, 5, 8) are the first five of every eight cases.
        alone: each in a process of its own.
    """
    os.environ.pop("UNIPAN_TRACEBACK", None)
    os.environ.update(COLUMNS="100", OMP_NUM_THREADS="1", NO_COLOR="1", HF_HUB_OFFLINE="1")
    os.environ.pop("HF_TOKEN", None)
    if base:
        hide_extras()
    with tempfile.TemporaryDirectory(prefix="unipan-bad-") as scratch:
        os.environ["HF_HOME"] = str(Path(scratch) / "hub")  # where nobody is logged in
        warm_up(base)
        from tests.bad_input.all_cases import all_cases
        from tests.bad_input.processes import TOGETHER, outcomes_of
        from tests.bad_input.world import add_networks, make_world

        cases = [case for case in all_cases(base) if re.search(only, f"{case.door}: {case.name}")]
        first, end, parts = part
        cases = [case for position, case in enumerate(cases) if first <= position % parts < end]
        world, place = Path(scratch) / "world", Path(scratch) / "work"
        Path(scratch).chmod(0o755)
        for folder in (world, place):
            folder.mkdir()
        make_world(world)
        if not base:
            add_networks(world)
        make_forking_cheap()
        known = table()

        def expected(case: Case, outcome: Outcome) -> bool:
            return not outcome.faults and known.get(case.key) == _row(case, outcome)

        outcomes = outcomes_of(cases, world, place, expected, 1 if alone else TOGETHER)
        for case, outcome in zip(cases, outcomes, strict=True):
            yield {"door": case.door, "case": case.name, "same": case.same, **asdict(outcome)}


def _row(case: Case, outcome: Outcome) -> dict[str, str]:
    """As the table has it."""
    values = (case.door, case.name, outcome.outcome, str(outcome.status), outcome.result)
    return dict(zip(COLUMNS, values, strict=True))


def differences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What happened that never may, what is not as the table says, and what should have changed nothing and did."""
    known = table()
    whole = {row["door"]: row["result"] for row in found if row["case"] == AS_IT_IS}
    told = []
    for row in found:
        now = {name: str(row[name]) for name in COLUMNS}
        before = known.get((row["door"], row["case"]))
        problems = [*row["faults"]]
        if now != before:
            problems.append(f"is {[*now.values()][2:]}, was {before and [*before.values()][2:]}")
        if row["same"] and row["result"] != whole.get(row["door"], row["result"]):
            problems.append(f"changes the result {whole[row['door']]}")
        if problems:
            told.append(
                f"{row['door']}: {row['case']}: {'; '.join(problems)}\n    it says: {row['said'].strip()[:400]}"
            )
    return told


def summary(found: Sequence[Mapping[str, Any]], where: str) -> str:
    """One line."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(row["outcome"] for row in found).most_common())
    seconds, again = (sum(row[what] for row in found) for what in ("seconds", "again"))
    return f"bad inputs, {where}: {len(found)} cases ({kinds}), {seconds:.0f} s of a processor, {again} asked again"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--part", type=int, nargs=3, default=(0, 1, 1), metavar=("FIRST", "END", "PARTS"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--check", action="store_true", help="compare with the table; the exit status tells")
    parser.add_argument("--alone", action="store_true", help="each case in a process of its own")
    parser.add_argument("--show", action="store_true", help="what each case said")
    options = parser.parse_args()
    rows = run(options.base, options.only, options.part, options.alone)
    if options.out:
        with options.out.open("w", buffering=1) as file:  # a line at a time, to be read meanwhile
            file.writelines(json.dumps(row) + "\n" for row in rows)
        return
    found = [*rows]
    if options.check:
        told = differences(found)
        print(*told, summary(found, "base install" if options.base else "all extras"), sep="\n")
        sys.exit(bool(told))
    for row in found:
        if options.show or row["faults"]:
            print(f"--- {row['door']}: {row['case']}: {row['outcome']} {row['status']} {row['result']}")
            print(*row["faults"], sep="\n")
            print(str(row["said"])[:1500])
    print(summary(found, "base install" if options.base else "all extras"))
    print("slowest:", *sorted((round(row["seconds"], 1), row["door"], row["case"]) for row in found)[-8:], sep="\n  ")
    if options.update:
        kept = table() if TABLE.exists() else {}
        for row in found:
            kept[row["door"], row["case"]] = {name: str(row[name]) for name in COLUMNS}
        write_table(kept[key] for key in sorted(kept))


if __name__ == "__main__":
    main()
