"""All lowerings that are written by hand: importing this module enters every codegen/native_*.py and box_muller.py into `lower`."""

import importlib
import pathlib

for _path in sorted(pathlib.Path(__file__).parent.glob("native_*.py")):
    importlib.import_module(f"{__package__}.{_path.stem}")
importlib.import_module(f"{__package__}.box_muller")
