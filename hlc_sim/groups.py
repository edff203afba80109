"""Exception groups, which every trio nursery makes of what fails in it."""

from __future__ import annotations


def sole(error: BaseException) -> BaseException:
    """The one exception in a group of one, however deep; any other error as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
