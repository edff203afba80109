"""Writes the reference pages of the documentation from the code.

    python -m tools.export_docs DIR

MkDocs calls `on_files` when it builds the site: the pages are made there and then, and are never older than
the code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tools.reference import commands, messages, python, settings, tables

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def pages() -> Iterator[tuple[str, str]]:
    """Each page's place below `reference/`, and its text."""
    for kind in (messages, settings, commands, tables, python):
        yield from kind.pages()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    for name, text in pages():
        files.append(File.generated(config, f"reference/{name}", content=text))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    for name, text in pages():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        print(target)


if __name__ == "__main__":
    main()
