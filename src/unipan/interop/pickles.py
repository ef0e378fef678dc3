"""Weight files of other programs, read without running any code they contain.

A pickle can name any function, which is then called while it is read. This reader knows only arrays and plain
containers and refuses every other name. Not even numpy's own unpickling runs: shapes, types and bytes are decoded here.
"""

import io
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unipan.files import require_weights
from unipan.models.pretrained import read_torch_file

NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
NESTED = ("model", "state_dict")
"""The keys under which training programs store weights next to the state of the optimiser."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a .pkl of numpy arrays, a .pth or .pt of torch, or a .safetensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, a pickle that asks for anything but arrays, or values that are no tensors.
    """
    require_weights(path, "a .pkl, .pth or .safetensors file")
    readers: dict[str, Callable[[Path], Any]] = {
        ".pkl": lambda path: load_pickle(path.read_bytes()),
        ".pth": read_torch_file,
        ".pt": read_torch_file,
        ".safetensors": load_file,
    }
    if path.suffix not in readers:
        raise ValueError(f"weights {path}: unknown kind of file; give one that ends in {', '.join(readers)}")
    try:
        content = readers[path.suffix](path)
    # What a broken or malicious file can make a reader raise; none of these is a bug here.
    except (
        pickle.UnpicklingError, SafetensorError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError,
        MemoryError, RecursionError, RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"weights {path}: cannot be opened ({reason}); only arrays in plain containers are read, nothing in a file "
            "is ever run; give the file as it was published"
        ) from error
    return _tensors(content, path)


def load_pickle(data: bytes) -> Any:
    """Unpickle arrays and plain containers, also of Python 2 (whose texts are taken as latin-1).

    Raises:
        pickle.UnpicklingError: the pickle asks for something else. (Broken pickles raise what pickle raises.)
    """
    return _finished(_ArrayUnpickler(io.BytesIO(data), encoding="latin1").load())


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"weights {path}: holds no named tensors; give a file of weights")
    named = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, np.ndarray | Tensor):
            raise ValueError(
                f"weights {path}: {key!r} is no named tensor but {type(value).__name__}; give weights alone"
            )
        named[key] = value if isinstance(value, Tensor) else torch.from_numpy(value)
    return named


@dataclass(frozen=True)
class _Maker:
    """What stands in for a function or class that a pickle names; the pickle can call it and nothing else."""

    make: Callable[..., Any]

    def __call__(self, *parts: Any) -> Any:
        return self.make(*parts)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


class _Named(dict[Any, Any]):
    """A dict or OrderedDict; torch attaches version numbers to state dicts, which are not needed."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Kind:
    """A numpy dtype."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in NUMBERS:
            raise pickle.UnpicklingError(f"it holds an array of {code!r}, not of numbers")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"<": "<", ">": ">"}.get(state[1], "=")

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """A numpy array, before and after its state arrives."""

    def __init__(
        self, shape: tuple[int, ...] = (0,), kind: _Kind | None = None, data: Any = b"", order: str = "C"
    ) -> None:
        self.shape, self.kind, self.data, self.order = shape, kind or _Kind("f4"), data, order

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.kind, fortran, self.data = state
        self.order = "F" if fortran else "C"

    def array(self) -> np.ndarray:
        """The numbers in the machine's own byte order, writable."""
        data = self.data.encode("latin1") if isinstance(self.data, str) else bytes(self.data)
        dtype = self.kind.dtype()
        if any(side < 0 for side in self.shape) or len(data) != math.prod(self.shape) * dtype.itemsize:
            raise pickle.UnpicklingError(f"it holds {len(data)} bytes for an array of shape {self.shape}")
        values = np.frombuffer(data, dtype).reshape(self.shape, order="F" if self.order == "F" else "C")
        return np.array(values, dtype.newbyteorder("="), order="C")


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name of the pickle."""
        # numpy 2 has moved what older pickles name; Python 2 had other modules.
        found = _KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _Maker(found)


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


_KNOWN: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _Named,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): lambda: b"",  # how the old protocols write empty ones
    ("builtins", "bytes"): lambda: b"",  # how the old protocols write empty ones
    ("numpy", "ndarray"): lambda *_: None,
    ("numpy", "dtype"): _Kind,
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy.core.multiarray", "scalar"): lambda kind, data: _Array((), kind, data),
    ("numpy.core.numeric", "_frombuffer"): lambda data, kind, shape, order: _Array(shape, kind, data, order),
}


def _finished(value: Any) -> Any:
    """Containers with arrays instead of `_Array`."""
    if isinstance(value, _Array):
        return value.array()
    if isinstance(value, dict):
        return {key: _finished(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finished(each) for each in value]
    return value
