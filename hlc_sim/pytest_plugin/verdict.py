"""What a test can come to besides passing."""

from __future__ import annotations


class Unexpected(AssertionError):
    """The device did another thing than expected."""


class Inconclusive(Exception):
    """The device could not be brought to the point."""
