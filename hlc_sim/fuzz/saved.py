"""Findings as scenario files, which `hlc scenario run --file` plays against any device."""

from __future__ import annotations

import json
from collections.abc import Mapping

from iso15118.session.events import Role
from iso15118.session.sequence import name_of

from ..scenario.model import Scenario
from .cases import Case
from .walks import PROFILES

UNCLEAR = ("sequence.response", "refusal.sequence")
"""Rules about the pairing of requests and responses: who listens cannot tell a request on a wrong stream from
one that was lost.
"""


def place(case: Case) -> tuple[str, int]:
    """The message in whose place the frames come, and which one of its name it is."""
    exchanges = case.walk.exchanges
    said = [e.request if case.tests is Role.SECC else e.response for e in exchanges[: case.prefix + 1]]
    name = name_of(said[-1])
    return name, sum(name_of(message) == name for message in said)


def as_toml(name: str, title: str, case: Case) -> str:
    """The text of a scenario file."""
    at, occurrence = place(case)
    mode, control = PROFILES[case.profile]
    raw = ",".join(frame.hex() for frame in case.frames)
    own = case.walk.session_id.hex()
    plays = case.tests.other.value
    return f"""[{quoted(name)}]
title = {quoted(title)}
plays = "{plays}"
sound = "Refuses it or goes on, ends the session in time, and serves the next one."
vehicle = {{ mode = "{mode}", control = "{control}", evcc = {{ charge_loops = 2 }} }}
station = {{ modes = ["{mode}"] }}
steps = [{{ at = "{at}", occurrence = {occurrence}, do = "replace", session_id = "{own}", raw = "{raw}" }}]
expect = {{ outcome = "survives", allow = {json.dumps(UNCLEAR)} }}
"""


def as_scenario(name: str, case: Case) -> Scenario:
    """The same as an object."""
    from ..scenario.files import parse

    found: Mapping[str, Scenario] = parse(as_toml(name, name, case), "fuzz case")
    return found[name]


def quoted(value: str) -> str:
    """As a text of TOML, on one line."""
    return json.dumps("".join(c if c.isprintable() else " " for c in value)[:300])
