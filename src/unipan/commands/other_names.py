"""Options as other tools call them, and what they are called here, told before a verb's module is imported."""

from collections.abc import Sequence

_CHECKPOINT = "the checkpoint is given without an option, as the first argument"
_IMAGES = "images and folders are given without an option, after the checkpoint"
_OUT = "the output is --out"
_TILES = "to segment a picture at its own resolution in tiles, give --tiles (and --tile-side for their size)"
_OVERLAYS = "overlays are written anyway; --no-overlays leaves them out, --no-labels their names and scores"
_DEVICE = "where the network runs is --device: cpu, cuda, cuda:1"
_JSONS = "the two JSONs are given without an option: unipan pq GT.json PREDICTIONS.json"
_EXPLAIN = "--explain prints boundary PQ, PQ-dagger, parsing covering and mean IoU"
_SEVERAL = "how many images are segmented at once is --at-once"
_LIMITS = "how long it trains is --minutes, or --train.iterations"

OF_MANY: list[tuple[str, str, str]] = [
    (
        "output output-dir out-dir save-dir o",
        _OUT,
        "predict affinity figures export import scenes demo reproduce train",
    ),
    ("force exist-ok yes", "to replace files, give --overwrite", "predict pq evaluate affinity figures demo"),
    ("gpu gpus cuda cpu", _DEVICE, "predict evaluate affinity figures serve"),
    ("checkpoint ckpt model weights", _CHECKPOINT, "predict evaluate affinity figures export push serve"),
]
"""Names elsewhere, what to say, and the verbs that it is said of."""
OF_VERBS: dict[str, dict[str, str]] = {
    "predict": {
        **dict.fromkeys(("overlay", "overlays", "visualize", "show"), _OVERLAYS),
        **dict.fromkeys(("crop", "crops", "tile", "tile-size", "patch-size", "slice", "sahi"), _TILES),
        **dict.fromkeys(("input", "inputs", "image", "images", "source", "img"), _IMAGES),
        **dict.fromkeys(("batch", "batch-size", "jobs", "workers", "num-workers", "threads"), _SEVERAL),
        **dict.fromkeys(("gt", "ground-truth"), "a ground truth whose ids and categories are taken over is --like"),
    },
    "pq": {
        **dict.fromkeys(("gt-json-file", "pred-json-file", "gt-json", "pred-json", "gt", "pred"), _JSONS),
        **dict.fromkeys(("boundary", "dagger", "miou", "iou"), _EXPLAIN),
        **dict.fromkeys(("baseline", "compare", "against"), "another prediction to compare with is --versus"),
        **dict.fromkeys(("report", "page", "out", "output"), "a page is written where --html says"),
        **dict.fromkeys(("jobs", "workers", "num-workers", "at-once"), "how many images at once is --threads"),
    },
    "train": {
        **dict.fromkeys(("epochs", "iterations", "max-iter", "steps"), _LIMITS),
        **dict.fromkeys(("batch", "batch-size"), "the batch size is --train.batch-size"),
        **dict.fromkeys(("lr", "learning-rate"), "the learning rate is --train.lr"),
        **dict.fromkeys(("weights", "pretrained", "checkpoint"), "the weights to start from are --init"),
        **dict.fromkeys(("gpu", "gpus", "num-gpus"), "how many GPUs is --devices"),
    },
    "data convert": dict.fromkeys(
        ("input", "from", "output", "to", "format"),
        "give both without options: unipan data convert FORMAT:FROM FORMAT:TO",
    ),
}
"""The same for one verb each."""
_UNDERSCORES = {"pq": ("gt-folder", "pred-folder", "trim-stuff")}
"""Options of ours that panopticapi writes with an underscore; tyro takes both, argparse does not."""


def other_name(verb: str, arguments: Sequence[str]) -> str | None:
    """The sentence for the first option that has another name here, or None.

    >>> other_name("predict", ["scenes", "photos", "--output-dir", "out"])
    'predict: there is no --output-dir; the output is --out'
    """
    known = known_names(verb)
    for word in arguments:
        if word == "--":
            return None
        given = word.partition("=")[0]
        name = given.lstrip("-").replace("_", "-")
        if given.startswith("--" if len(name) > 1 else "-") and name in known:
            return f"{verb}: there is no {given}; {known[name]}"
        if "_" in given and given.startswith("--") and name in _UNDERSCORES.get(verb, ()):
            return f"{verb}: there is no {given}; it is --{name}"
    return None


def known_names(verb: str) -> dict[str, str]:
    """Each name that is refused, and what to say; `verb` may be two words."""
    shared = {name: sentence for names, sentence, verbs in OF_MANY if verb in verbs.split() for name in names.split()}
    return shared | OF_VERBS.get(verb, {})
