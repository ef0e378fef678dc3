"""Weights are read from pickles of every age, and nothing that stands in a pickle is run."""

import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from unipan.interop.pickles import load_pickle, read_tensors

ARRAYS: dict[str, Any] = {
    "plain": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big endian": np.arange(4, dtype=">f4"),
    "half": np.array([1, 0.5], np.float16),
    "double": np.array([[1 / 3]]),
    "whole": np.array([-1, 2**40]),
    "empty": np.zeros((0, 4), np.float32),
    "no axis": np.array(3.5, np.float32),
    "bytes": np.arange(200, 256, dtype=np.uint8),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol(protocol: int) -> None:
    content = {
        "model": OrderedDict(ARRAYS),
        "__author__": "someone",
        "iteration": 3,
        "scalar": np.float64(0.25),
        "l": [(1,)],
    }
    found = load_pickle(pickle.dumps(content, protocol))
    assert (found["__author__"], found["iteration"], found["scalar"], found["l"]) == ("someone", 3, 0.25, [[1]])
    assert list(found["model"]) == list(ARRAYS)
    for name, array in found["model"].items():
        assert array.dtype == ARRAYS[name].dtype.newbyteorder("=")
        assert array.shape == ARRAYS[name].shape
        assert np.array_equal(array, ARRAYS[name])
        assert array.flags.writeable


def python2(array: np.ndarray) -> bytes:
    """The opcodes that Python 2's pickle (protocol 2) and old numpy wrote: names and bytes are one kind of text."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def whole(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    shape = b"(" + b"".join(map(whole, array.shape)) + b"t"
    dtype = b"cnumpy\ndtype\n(" + text(b"f4") + whole(0) + whole(1) + b"tR("
    dtype += whole(3) + text(b"<") + b"NNN" + whole(-1) + whole(-1) + whole(0) + b"tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + whole(0) + b"t" + text(b"b") + b"tR"
    state = b"(" + whole(1) + shape + dtype + b"I00\n" + text(array.tobytes()) + b"tb"
    return b"\x80\x02}(" + text(b"caf\xe9.weight") + made + state + b"u."


def test_arrays_of_python_2() -> None:
    array = np.array([[1.5, -2.25, 3e30], [np.pi, 0, -0.0]], np.float32)
    ((name, found),) = load_pickle(python2(array)).items()
    assert name == "café.weight"
    assert found.tobytes() == array.tobytes()
    assert found.shape == (2, 3)


class Evil:
    """Pickles as the call of any function."""

    def __init__(self, function: Callable[..., Any], *parts: Any) -> None:
        self.call = (function, parts)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for evil in (
        Evil(os.mkdir, str(mark)),
        Evil(eval, f"open({str(mark)!r}, 'w')"),
        Evil(exec, f"open({str(mark)!r}, 'w')"),
        Evil(open, str(mark), "w"),
        Evil(getattr, ARRAYS["plain"], "tofile"),
        Evil(np.save, str(mark), 1),
    ):
        path = tmp_path / "evil.pkl"
        path.write_bytes(pickle.dumps({"model": {"a": ARRAYS["plain"], "b": evil}}, protocol))
        with pytest.raises(ValueError, match=r"evil\.pkl: .*asks for"):
            read_tensors(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"cnumpy\ndtype\n(dS'x'\nI1\nsb.", id="changes a stand-in"),
        pytest.param(b"\x80\x02cnumpy\ndtype\n)\x81.", id="makes a new object of a stand-in"),
        pytest.param(pickle.dumps({"a": np.array([{"b": 1}], object)}, 4), id="an array of objects"),
        pytest.param(pickle.dumps({"a": np.array(["text"])}, 4), id="an array of texts"),
        pytest.param(pickle.dumps({"a": ARRAYS["plain"]}, 4)[:-30], id="cut"),
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(
            python2(np.zeros((2, 3), np.float32)).replace(b"J\x03\0\0\0t", b"J\x04\0\0\0t"), id="too few bytes"
        ),
        pytest.param(python2(np.zeros((2, 3), np.float32)).replace(b"I00", b"Bxx"), id="nonsense"),
        pytest.param(pickle.dumps(torch.zeros(2), 4), id="a tensor of torch"),
    ],
)
def test_a_bad_pickle_is_refused_in_one_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.pkl: cannot be opened \(.*\); only arrays") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


def test_stand_ins_cannot_be_changed() -> None:
    with pytest.raises(pickle.UnpicklingError, match="it changes a function"):
        load_pickle(b"cnumpy\ndtype\n(dS'x'\nI1\nsb.")
    assert load_pickle(pickle.dumps(ARRAYS, 2))["plain"].shape == (2, 3)


def test_other_kinds_of_file(tmp_path: Path) -> None:
    state = {"a.weight": torch.randn(2, 3), "b": torch.zeros(1)}
    torch.save({"model": OrderedDict(state), "iteration": 7, "optimizer": {"lr": [0.1]}}, tmp_path / "a.pth")
    torch.save(state, tmp_path / "b.pt")
    save_file(state, tmp_path / "c.safetensors")
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"model": {k: v.numpy() for k, v in state.items()}}, 4))
    for name in ("a.pth", "b.pt", "c.safetensors", "d.pkl"):
        found = read_tensors(tmp_path / name)
        assert list(found) == list(state)
        assert all(torch.equal(found[key], value) for key, value in state.items())


def test_a_hostile_pth_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    torch.save({"model": Evil(os.mkdir, str(mark))}, path)
    with pytest.raises(ValueError, match=r"evil\.pth: cannot be opened"):
        read_tensors(path)
    assert not mark.exists()


def test_what_is_no_weight_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pkl: there is no such file"):
        read_tensors(tmp_path / "none.pkl")
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.bin: .*\.pkl, \.pth"):
        read_tensors(tmp_path / "a.bin")
    for content, message in (
        ([1, 2], "holds no named tensors"),
        ({"model": {}}, "holds no named tensors|'model' is no named tensor"),
        ({"blobs": {"conv1_w": ARRAYS["plain"]}}, "'blobs' is no named tensor but dict"),
        ({"a": "text"}, "'a' is no named tensor but str"),
    ):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=message):
            read_tensors(tmp_path / "a.pkl")


def test_a_deep_pickle_ends_in_a_sentence(tmp_path: Path) -> None:
    stream = io.BytesIO()
    stream.write(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")
    (tmp_path / "deep.pkl").write_bytes(stream.getvalue())
    with pytest.raises(ValueError, match=r"deep\.pkl"):
        read_tensors(tmp_path / "deep.pkl")
