"""Random outputs of a detector, for the tests of `unipan.fuse` and of its NumPy forms."""

import numpy as np

from unipan.numpy_fusion.psi import Found

T, S = 3, 2
SIZE = (24, 32)


def drawn_input(
    seed: int, count: int, masks: str, size: tuple[int, int] = SIZE, image: tuple[int, int] | None = None
) -> tuple[np.ndarray, Found]:
    """V on a grid of some size, and detections in pixels of the image (the grid itself by default).

    Boxes overlap, some are thinner than a cell and some reach beyond the image. Masks are smooth enough to have an
    inside: `none`, `box` (14 x 14) or `whole` (at another resolution than V).
    """
    rng = np.random.default_rng(seed)
    height, width = image or size
    v = rng.normal(size=(T + S, *size)).astype(np.float32) * 2
    corner = rng.random((count, 2)) * [width - 2, height - 2]
    extent = 0.3 + rng.random((count, 2)) * [width / 2, height / 2]
    boxes = np.concatenate([corner, corner + extent], 1).astype(np.float32)
    cells = {"none": None, "box": (14, 14), "whole": (size[0] // 2 + 1, size[1])}[masks]
    logits = None if cells is None else (rng.normal(size=(count, *cells)) * 3 + 1).astype(np.float32)
    scores = rng.permutation(np.linspace(0.2, 0.99, max(count, 1)))[:count].astype(np.float32)
    return v, Found(boxes, scores, rng.integers(0, T, count), logits, masks == "whole")
