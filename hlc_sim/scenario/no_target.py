"""That there is no device to judge."""

from __future__ import annotations


class NoTarget(Exception):
    """The device could not be reached; the text says why."""


class Unreached(NoTarget):
    """There was no connection to it at all: it is off or elsewhere. Nothing was learned of it."""
