"""What a checkpoint file says of itself: config, categories, metrics, and which weights it holds. Without torch."""

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from safetensors import SafetensorError, safe_open

from unipan.config import Config
from unipan.panoptic.categories import Categories
from unipan.renamed_fields import flatten, nest, with_new_names

CHECKPOINT_FORMAT = "unipan-1"


def config_from_dict(values: Any, source: str = "config") -> Config:
    """The Config that `dataclasses.asdict` (through JSON) was made from, by this version or one with other field names.

    Raises:
        ValueError: a field that this version does not know, or a value that it may not have.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{source}: a table of fields is needed, this is {type(values).__name__}")
    config: Config = _from_dict(Config, nest(with_new_names(flatten(values))), source)
    return config


def _from_dict(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"{where}: a table of fields is needed, this is {type(values).__name__}")
    types = get_type_hints(kind)
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ValueError(f"{where}: this version of unipan does not know the field {unknown[0]!r}")
    made = {}
    for name, value in values.items():
        if is_dataclass(types[name]):
            made[name] = _from_dict(types[name], value, f"{where}.{name}")
        else:
            made[name] = tuple(value) if isinstance(value, list) else value
    return kind(**made)


def read_header(path: Path) -> tuple[Config, Categories, dict[str, Any]]:
    """Config, categories and metrics of a checkpoint, without its weights.

    Raises:
        ValueError: the file is not a checkpoint of unipan.
    """
    with _told_of_damage(path):
        with safe_open(path, "np") as file:
            header = file.metadata() or {}
        if header.get("format") != CHECKPOINT_FORMAT:
            raise ValueError(f"its format is {header.get('format', 'unknown')}, not {CHECKPOINT_FORMAT}")
        config = config_from_dict(json.loads(header["config"]))
        categories, metrics = json.loads(header["categories"]), json.loads(header["metrics"])
        if not (isinstance(categories, list) and isinstance(metrics, dict)):
            raise ValueError("its categories are no list, or its metrics no table")
        return config, Categories.from_coco(categories), metrics


@contextmanager
def _told_of_damage(path: Path) -> Generator[None]:
    """Errors raised inside, while a checkpoint is read, become a ValueError that names it."""
    try:
        yield
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise ValueError(
            f"checkpoint {path}: cannot be opened ({error}); give a .safetensors file that `unipan train` wrote"
        ) from error


def packaged_digest(path: Path) -> str | None:
    """The digest of the weights that a package carries; None if all are in the file."""
    with safe_open(path, "np") as file:
        found: str | None = (file.metadata() or {}).get("packaged")
    return found


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The weights of a checkpoint as arrays, floating-point ones in 32 bits. Raises ValueError for a damaged file."""
    with _told_of_damage(path), safe_open(path, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    return {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}


def network_digest(path: Path) -> str:
    """SHA-256 of what decides the network of a checkpoint, its weights and its config; metrics do not.

    Raises:
        ValueError: the file is damaged.
    """
    found = hashlib.sha256()
    with _told_of_damage(path), safe_open(path, "np") as file:
        found.update((file.metadata() or {})["config"].encode())
        for name in sorted(file.keys()):
            value = file.get_tensor(name)
            found.update(f"{name} {value.dtype} {value.shape}".encode())
            found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()
