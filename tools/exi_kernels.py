"""Both kernels in one process: the package as it runs, and a second copy whose kernel is interpreted."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

_PACKAGE = "iso15118.exi"
_SHARED = (f"{_PACKAGE}.schema", f"{_PACKAGE}.errors")
"""Modules that messages and error handlers refer to: both copies have the same."""


def interpreted_exi() -> ModuleType:
    """A copy of `iso15118.exi` that runs kernel.py as Python; the messages and errors are those of the
    original.
    """
    original = importlib.import_module(_PACKAGE)
    names = [n for n in sys.modules if n == _PACKAGE or n.startswith(_PACKAGE + ".")]
    saved = {n: sys.modules.pop(n) for n in names if n not in _SHARED}
    before = os.environ.get("HLC_EXI_INTERPRETED")
    os.environ["HLC_EXI_INTERPRETED"] = "1"
    try:
        return importlib.import_module(_PACKAGE)
    finally:
        if before is None:
            del os.environ["HLC_EXI_INTERPRETED"]
        else:
            os.environ["HLC_EXI_INTERPRETED"] = before
        sys.modules.update(saved)
        sys.modules["iso15118"].exi = original  # type: ignore[attr-defined]
