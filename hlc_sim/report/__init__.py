"""The report on a recording: one HTML page that holds all it needs."""

from .page import ChartsMissing, build

__all__ = ["ChartsMissing", "build"]
