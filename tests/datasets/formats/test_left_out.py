"""What was left out is counted once and named by its first examples."""

from unipan.datasets.formats.left_out import LeftOut


def test_lines() -> None:
    out = LeftOut()
    for number in (1, 2, 3, 4, 2):
        out.add("boxes without a mask", f"annotation {number}")
    out.add("points", "shape 0")
    assert out.count("boxes without a mask") == 4
    assert out.count("nothing") == 0
    assert out.lines() == [
        "boxes without a mask: 4 (annotation 1, annotation 2, annotation 3, ...)",
        "points: 1 (shape 0)",
    ]
