"""YAML files of datasets. All scalars stay text: a class named `no` is not False, nor is `1e3` a number."""

from pathlib import Path

import yaml

from unipan.files import read_text

YamlValue = str | list["YamlValue"] | dict[str, "YamlValue"]


def read_yaml(path: Path) -> dict[str, YamlValue]:
    """The mapping of a YAML file.

    Raises:
        FileNotFoundError, ValueError: the file is missing, no YAML, or another value than a mapping.
    """
    text = read_text(path)
    try:
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.AliasEvent):  # a few lines of them can stand for more than memory holds
                line = event.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: *{event.anchor} is an alias; write what it stands for in its place")
        found = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: it holds no `key: value` lines; give the data.yaml of a dataset")
    return {str(key): value for key, value in found.items()}
