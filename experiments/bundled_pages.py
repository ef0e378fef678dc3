"""Every figure of the pages that belongs to the bundled checkpoint, measured and written anew in one go.

`bundle.py` has scored its fusions already (src/unipan/checkpoints/scenes.json). This script segments the same 200
scenes with the commands that the pages show, keeps what they say in `results/bundled/`, and writes the tables between
their marks in docs/results/README.md and docs/evaluation.md. A test compares pages and records.

    python experiments/bundled_pages.py measure --work runs/bundled       some minutes on a core
    python experiments/bundled_pages.py write
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unipan.reproduction.tables import into_page

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "experiments" / "results" / "bundled"
CHECKPOINTS = ROOT / "src" / "unipan" / "checkpoints"
FIRST, COUNT = 4_000_000, 200
FUSIONS = ("affinity", "potential", "heuristic")
KINDS = ("poor boundary", "thing lost to stuff", "merged", "tiny stuff", "wrong class", "missed", "spurious", "split")
KINDS += ("stuff lost to things",)
GROUPS = ("All", "Things", "Stuff")


def measure(work: Path) -> None:
    """Run the pages' commands and keep their figures."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    _unipan("scenes", "--count", str(COUNT), "--seed", str(FIRST), "--out", str(work / "set"))
    truth, found = work / "set" / "panoptic.json", {}
    for fusion in FUSIONS:
        out = work / fusion
        _unipan(*f"predict scenes {work}/set/images --like {truth} --fusion {fusion} --out {out}".split())
        _unipan(*f"pq {truth} {out}/panoptic.json --explain --json {work}/{fusion}.json".split())
        scores = json.loads((work / f"{fusion}.json").read_text())
        found[fusion] = _plain(scores["extra_metrics"])
    (RECORDS / "fusions.json").write_text(json.dumps(found, indent=1) + "\n")
    said = _unipan("evaluate", "scenes", f"scenes:{FIRST}-{FIRST + COUNT - 1}", "--oracles")
    (RECORDS / "oracles.txt").write_text(said[said.index("argmax of P with one part") :])


def _unipan(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "unipan", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def _plain(extra: dict[str, Any]) -> dict[str, Any]:
    """What the tables need, rounded."""
    kinds = extra["errors"]["kinds"]
    return {
        "pq": _rounded(extra["errors"]["pq"]["All"]),
        "repaired": _rounded(extra["errors"]["repaired"]["All"]),
        "kinds": {
            kind: [_rounded(kinds[kind]["cost"]["All"]), kinds[kind]["truths"], kinds[kind]["predictions"]]
            for kind in KINDS
        },
        "boundary": _rounded(extra["boundary"]["All"]["pq"]),
        "dagger": _rounded(extra["dagger"]["All"]),
        "covering": _rounded(extra["covering"]["All"]),
        "iou": _rounded(extra["iou"]["mean"]),
        "thing_stuff": {side: {k: _rounded(v) for k, v in each.items()} for side, each in extra["thing_stuff"].items()},
    }


def _rounded(value: float) -> float:
    return round(value, 6)


def fusion_table(records: Path) -> str:
    """What each kind of error costs each fusion, and the extra metrics."""
    found = json.loads((records / "fusions.json").read_text())
    lines = [_row("cost in PQ (number of segments)", *FUSIONS), "|---" * 4 + "|"]
    lines.append(_row("PQ", *(_percent(found[fusion]["pq"]) for fusion in FUSIONS)))
    for kind in KINDS:
        cells = [found[fusion]["kinds"][kind] for fusion in FUSIONS]
        lines.append(_row(kind, *(f"{_percent(cost)} ({truths + wrong})" for cost, truths, wrong in cells)))
    lines.append(_row("all repaired: PQ", *(f"{100 * found[fusion]['repaired']:.0f}" for fusion in FUSIONS)))
    return "\n".join(lines)


def metric_table(records: Path) -> str:
    """The extra metrics of each fusion."""
    found = json.loads((records / "fusions.json").read_text())
    names = {"boundary": "boundary PQ", "dagger": "PQ†", "covering": "parsing covering", "iou": "mean IoU of the map"}
    lines = [_row("", *FUSIONS), "|---" * 4 + "|"]
    lines += [_row(name, *(_percent(found[fusion][key]) for fusion in FUSIONS)) for key, name in names.items()]
    for side, other in (("things", "stuff"), ("stuff", "things")):
        cells = [found[fusion]["thing_stuff"][side] for fusion in FUSIONS]
        shown = [
            f"{_percent(cell[other])} %" + f" (and {_percent(cell['void'])} % void)" * (cell["void"] > 0)
            for cell in cells
        ]
        lines.append(_row(f"pixels of {side} taken for {other}", *shown))
    return "\n".join(lines)


def oracle_table(records: Path) -> str:
    """PQ with one part swapped for the truth."""
    lines = ["| | PQ | things | stuff | gain |", "|---" * 5 + "|"]
    pattern = r"  (\D+?) +PQ all ([\d.]+), things ([\d.]+), stuff ([\d.]+)(?:; gains (.*))?"
    for line in (records / "oracles.txt").read_text().splitlines()[1:]:
        if match := re.fullmatch(pattern, line):
            lines.append(_row(*(part or "" for part in match.groups())))
    return "\n".join(lines)


def score_table(checkpoints: Path) -> str:
    """PQ of the bundled checkpoints' fusions, and what each adds."""
    lines = ["| checkpoint | map | PQ | things | stuff | SQ | RQ |", "|---" * 7 + "|"]
    words = {"affinity": "argmax of P", "potential": "argmax of Ψ", "heuristic": "heuristic fusion, tuned thresholds"}
    short = {"affinity": "P", "potential": "Ψ", "heuristic": "heuristic"}
    for name in ("scenes", "scenes_mask_free", "photos"):
        path = checkpoints / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        for fusion, scores in found["pq"].items():
            sq, rq = found["sq_rq"][fusion]["All"]
            lines.append(_row(f"`{name}`", words[fusion], *map(_interval, scores.values()), f"{sq:.1f}", f"{rq:.1f}"))
        for one, other in (("affinity", "potential"), ("potential", "heuristic"), ("affinity", "heuristic")):
            if step := found.get(f"{one} - {other}"):
                cells = [_interval(step[group], "+") for group in GROUPS]
                lines.append(_row(f"`{name}`", f"{short[one]} − {short[other]}", *cells, "", ""))
    return "\n".join(lines)


def _interval(values: list[float], sign: str = "") -> str:
    value, low, high = (f"{each:{sign if each is values[0] else ''}.2f}" for each in values)
    return f"{value} ({low}, {high})".replace("-", "−")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "bundled scores": ("docs/results/README.md", lambda: score_table(CHECKPOINTS)),
    "bundled errors": ("docs/evaluation.md", lambda: fusion_table(RECORDS)),
    "bundled metrics": ("docs/evaluation.md", lambda: metric_table(RECORDS)),
    "bundled oracles": ("docs/evaluation.md", lambda: oracle_table(RECORDS)),
}
"""The tables by their mark, each with its page."""


def main() -> None:
    """Measure, or write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "write"])
    parser.add_argument("--work", type=Path, default=Path("runs/bundled"))
    args = parser.parse_args()
    if args.what == "measure":
        measure(args.work)
    for page in sorted({page for page, _ in TABLES.values()}):
        path = ROOT / page
        tables = {name: make() for name, (where, make) in TABLES.items() if where == page}
        path.write_text(into_page(path.read_text(), tables))
        print(page)


if __name__ == "__main__":
    main()
