"""docs/design_choices.md shows the records of experiments/paper_optimiser.py."""

from pathlib import Path

from unipan.evaluation.pq_scores import PanopticScores
from unipan.reproduction.records import load_records

ROOT = Path(__file__).resolve().parents[2]


def test_the_figures_of_the_papers_optimiser_are_the_records() -> None:
    page = (ROOT / "docs" / "design_choices.md").read_text()
    section = page.partition("### The paper's optimiser")[2].partition("\n## ")[0]
    shown = [
        tuple(cell.strip() for cell in line.split("|")[2:6]) for line in section.splitlines() if line.startswith("| ")
    ][1:]
    found = set()
    for record in load_records(ROOT / "experiments" / "results" / "paper_optimiser"):
        assert record.ap is not None
        for fusion in record.fusions:
            scores = PanopticScores.of(record.classes, record.counts(fusion).sum(axis=0))
            values = [scores[group].pq for group in ("All", "Things", "Stuff")] + [record.ap["box"]]  # type: ignore[union-attr]
            found.add(tuple(f"{100 * value:.1f}" for value in values if value is not None))
    assert len(shown) == 5
    assert set(shown) <= found
