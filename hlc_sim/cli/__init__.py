"""The `hlc` command: module `app` has the commands, which import what they need when they run.

Nothing is imported here: the rooms with commands of their own take exit codes and options from this package.
"""


def main() -> None:
    """Entry point of the `hlc` script."""
    from .app import main as run

    run()
