"""What stands beside PQ, for two folders: a second look at the images that PQ counted, over all cores."""

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add

from unipan.evaluation.extra_metrics import BesidePQ
from unipan.evaluation.folder_quality import available_cores
from unipan.evaluation.folders import PanopticFolders
from unipan.evaluation.trimming import TrimEffect


def explain_folders(
    folders: PanopticFolders,
    names: Collection[str],
    trim: int | None = None,
    threads: int | None = None,
    each: Callable[[], object] = lambda: None,
) -> tuple[BesidePQ, TrimEffect | None]:
    """The figures of `BesidePQ`, and stuff before and after trimming.

    Args:
        folders: truth and predictions, read leniently: PQ has named their faults already.
        names: of the images to look at.
        trim: stuff below this many pixels is trimmed, see `trim_stuff`; None leaves that out.
        threads: as many as there are cores unless given; the result is the same to the last bit.
        each: called after every image, from any thread.
    """
    wanted = set(names)
    positions = [position for position, name in enumerate(folders.names) if name in wanted]
    stop = threading.Event()

    def work(own: Sequence[int]) -> tuple[BesidePQ, TrimEffect | None]:
        beside = BesidePQ.of(folders.categories)
        trimmed = None if trim is None else TrimEffect.of(folders.categories, trim)
        for position in own:
            if stop.is_set():
                break
            truth, prediction = folders.maps(position)
            beside.update(truth, prediction, folders.names[position])
            if trimmed is not None:
                trimmed.update(truth, prediction, folders.names[position])
            each()
        return beside, trimmed

    count = max(1, min(threads or available_cores(), len(positions)))
    with ThreadPoolExecutor(count) as pool:
        try:
            parts = list(pool.map(work, [positions[start::count] for start in range(count)]))
        finally:
            stop.set()  # an interrupted command does not finish the dataset first
    effects = [effect for _, effect in parts if effect is not None]
    return reduce(add, (beside for beside, _ in parts)), reduce(add, effects) if effects else None
