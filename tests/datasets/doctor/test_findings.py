"""The page on data and the code say the same."""

from pathlib import Path

from unipan.datasets.doctor.findings import KINDS, whole
from unipan.datasets.formats.registry import READERS, WRITERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_page_lists_every_kind_and_every_format() -> None:
    text = PAGE.read_text()
    rows = [f"| `{kind}` | {what.title} | {what.cure or '– nobody but you can know'} |" for kind, what in KINDS.items()]
    assert [row for row in rows if row not in text] == []
    assert [name for name in {*READERS, *WRITERS} if f"`{name}`" not in text] == []


def test_whole_numbers() -> None:
    assert [whole(value) for value in (3, 3.0, "3", "3.0", -1)] == [3, 3, 3, 3, -1]
    assert {whole(value) for value in (True, None, 3.5, "x", float("nan"), float("inf"), [3], "")} == {None}
