"""docs/data.md and the code agree on the kinds of findings."""

from pathlib import Path

from unipan.datasets.doctor.findings import FINDING_KINDS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "data.md"


def test_the_page_lists_every_kind() -> None:
    text = PAGE.read_text()
    rows = [
        f"| `{kind}` | {what.title} | {what.repair or '– only you can decide'} |"
        for kind, what in FINDING_KINDS.items()
    ]
    assert [row for row in rows if row not in text] == []
