"""YAML files of datasets. All scalars stay text: a class named `no` is not False, nor is `1e3` a number."""

from pathlib import Path

import yaml

from unipan.files import read_bytes

YamlValue = str | list["YamlValue"] | dict[str, "YamlValue"]


def read_yaml(path: Path) -> dict[str, YamlValue]:
    """The mapping of a YAML file.

    Raises:
        FileNotFoundError, ValueError: the file is missing, no YAML, or another value than a mapping.
    """
    try:
        found = yaml.load(read_bytes(path).decode("utf-8-sig"), Loader=yaml.BaseLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: it holds no `key: value` lines; give the data.yaml of a dataset")
    return {str(key): value for key, value in found.items()}
