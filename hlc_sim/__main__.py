"""`hlc`, also as `python -m hlc_sim`. Ctrl-C and SIGTERM end it cleanly from the first import on."""

import signal
import sys


def main() -> None:
    """Entry point of the `hlc` command."""
    # Also where a script's background job inherits it ignored: then `kill` could not use it either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        from hlc_sim.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
