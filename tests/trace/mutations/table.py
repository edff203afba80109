"""The table that the modules beside this one fill: by rule, a faultless recording and what spoils it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from iso15118.messages import common

from .. import recordings as rec
from ..recordings import Recording

Spoil = Callable[[Recording], Any]


class Case(NamedTuple):
    base: Callable[[], Recording]
    spoil: Spoil
    with_it: tuple[str, ...] = ()
    """Rules that cannot but be broken as well: what is not refused was wrong, what is far too late was
    late.
    """


def dc_base() -> Recording:
    return rec.dc_bpt_dynamic()


def pnc_base() -> Recording:
    return rec.dc_bpt_dynamic(pnc=True)


def ac_base() -> Recording:
    return rec.ac_scheduled()


def wpt_base() -> Recording:
    return rec.wpt_loop()


CASES: dict[str, Case] = {}


def case(rule: str, base: Callable[[], Recording], *with_it: str) -> Callable[[Spoil], Spoil]:
    def enter(spoil: Spoil) -> Spoil:
        assert rule not in CASES
        CASES[rule] = Case(base, spoil, with_it)
        return spoil

    return enter


def refused(
    rule: str, base: Callable[[], Recording], response: str, code: str, nth: int = 0
) -> Callable[[Spoil], Spoil]:
    """Two cases: the breach refused as it must be, and the same breach let pass."""

    def enter(spoil: Spoil) -> Spoil:
        def properly(recording: Recording) -> None:
            spoil(recording)
            recording.fail(response, code, nth)

        CASES[rule] = Case(base, properly)
        CASES[f"{rule}.refusal"] = Case(base, spoil, (rule,))
        return spoil

    return enter


def slow(
    rule: str, base: Callable[[], Recording], message: str, seconds: float, *with_it: str, nth: int = 0
) -> None:
    CASES[rule] = Case(base, lambda r: r.late(message, seconds, nth), with_it)


def parameter(r: Recording, chosen: int, name: str) -> common.Parameter:
    sets = r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set
    return next(item for item in sets[chosen].parameter if item.name == name)
