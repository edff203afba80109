"""`v2g-pki`, also as `python -m pki`. Ctrl-C and SIGTERM end it cleanly from the first import on."""

import signal
import sys


def main() -> None:
    """Entry point of the `v2g-pki` command."""
    # Also where a script's background job inherits it ignored: then `kill` could not use it either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        from pki.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
