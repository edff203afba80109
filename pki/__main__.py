"""`v2g-pki`, also as `python -m pki`. Ctrl-C ends it cleanly from the first import on."""

import sys


def main() -> None:
    """Entry point of the `v2g-pki` command."""
    try:
        from pki.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
