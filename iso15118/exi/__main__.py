"""`python -m iso15118.exi`: says which kernel runs."""

from pathlib import Path

from . import kernel

_INSTALL_SECONDS = 60
"""An install writes source and compiled form in either order."""


def main() -> None:
    path = Path(str(kernel.__file__))
    source = Path(__file__).with_name("kernel.py")
    if not kernel.COMPILED:
        print(f"EXI kernel: interpreted ({path})")
        return
    print(f"EXI kernel: compiled ({path})")
    if source.exists() and source.stat().st_mtime > path.stat().st_mtime + _INSTALL_SECONDS:
        print("kernel.py is newer than its compiled form: install again (pip install -e .)")


main()
