"""The `hlc` command. Commands import what they need when they run, so that `hlc --help` is quick."""

from .app import app, main

__all__ = ["app", "main"]
