"""Builds the EXI kernel natively where a compiler is at hand; without one the same file runs interpreted.

HLC_PURE=1 leaves the native kernel out: `HLC_PURE=1 python -m build --wheel` makes a wheel for any machine.
"""

import os
from typing import Any

from setuptools import Extension, setup


def extensions() -> list[Any]:
    if os.environ.get("HLC_PURE") == "1":
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    kernel = Extension(
        "iso15118.exi.kernel",
        ["iso15118/exi/kernel.py"],
        depends=["iso15118/exi/kernel.pxd"],
        extra_compile_args=["-O3"],
    )
    directives = {
        "language_level": 3,
        "annotation_typing": False,
        "boundscheck": False,
        "embedsignature": True,
    }
    modules: list[Any] = cythonize([kernel], build_dir="build", compiler_directives=directives)
    for module in modules:
        module.optional = True  # a failing compiler does not fail the install
    return modules


setup(ext_modules=extensions())
