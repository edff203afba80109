"""`hlc`, also as `python -m hlc_sim`. Ctrl-C ends it cleanly from the first import on."""

import sys


def main() -> None:
    """Entry point of the `hlc` command."""
    try:
        from hlc_sim.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
