"""Tests of the client. `python3 -m unittest` beside pyproject.toml runs them on src."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))
