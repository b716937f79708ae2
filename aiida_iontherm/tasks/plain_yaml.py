"""Yaml files of other programs as plain data.

phonopy's and phono3py's own loaders build whatever Python object a file asks for, which lets a file run any program. So
each file is parsed by the safe loader before it is handed to them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import yaml

_OPENERS: dict[str, Any] = {".xz": lzma.open, ".lzma": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}


def plain_yaml(path: Path) -> dict[str, Any]:
    """Plain data of a yaml file, compressed or not.

    Raises
    ------
    ValueError
        If it is not yaml, or asks for Python objects.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as stream:
            data = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506, safe and fast
    except (yaml.YAMLError, OSError, EOFError, lzma.LZMAError) as error:
        raise ValueError(f"{path.name} is not plain yaml: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} holds no cell: is it a yaml file of phonopy or phono3py?")
    return data
