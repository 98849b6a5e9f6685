"""What a row takes from another: row("read_remote") is the module bench/rows/read_remote.py."""

import importlib.util
from pathlib import Path


def row(name):
    file = Path(__file__).resolve().parent / "rows" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"beside_{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
