"""Writes `schemas/*.xsd` from the message classes: `python -m tools.export_schemas [DIR]`."""

from __future__ import annotations

import sys
from pathlib import Path

from iso15118.messages import SchemaSet
from iso15118.messages.xsd import schema_files

SCHEMAS = Path(__file__).parent.parent / "schemas"


def schema_texts() -> dict[str, str]:
    """The text of every schema file by its name."""
    return {name: text for schema_set in SchemaSet for name, text in schema_files(schema_set).items()}


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else SCHEMAS
    for name, text in schema_texts().items():
        (directory / name).write_text(text)
        print(directory / name)


if __name__ == "__main__":
    main()
