"""Keep outputs under a hash of the inputs, and replay them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_iontherm.engines.mock_vasp.outputs import FILES, Outputs

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.inputs import Inputs

STDOUT = "stdout"


def key(inputs: Inputs, engine: str, options: dict[str, Any]) -> str:
    """Hash of the normalised inputs and of the engine that computes."""
    return hashlib.sha256(json.dumps([inputs.key, engine, options], sort_keys=True).encode()).hexdigest()


def replay(store: Path, name: str) -> Outputs | None:
    """Return the outputs kept under a hash, if there are any."""
    folder = store / name
    if not folder.is_dir():
        return None
    files = {file: (folder / file).read_text(encoding="utf8") for file in FILES}
    return Outputs(files, (folder / STDOUT).read_text(encoding="utf8"))


def keep(store: Path, name: str, outputs: Outputs) -> None:
    """Keep the outputs of a run that came to its end."""
    store.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=store, prefix=".new-"))
    outputs.write(folder)
    (folder / STDOUT).write_text(outputs.stdout, encoding="utf8")
    try:
        folder.rename(store / name)
    except OSError:  # another run with the same inputs was faster
        shutil.rmtree(folder)
