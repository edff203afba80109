"""Conformance cases as tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

pytest_plugins = ["pytester"]
SUITE = """
    import pytest
    from hlc_sim.pytest_plugin import conformance_cases

    PATTERNS = 'SECC.silence.SessionSetupReq.nothing', '*.silence.disconnects-after-DC_CableCheckReq'

    @pytest.mark.parametrize('case', conformance_cases(*PATTERNS))
    def test_case(case, conformance):
        conformance(case)
"""
OWN = """
    import pytest
    from hlc_sim.conformance import Case, Failed, Group, Inconclusive
    from iso15118.session.events import Role

    async def fails(bench):
        await bench.session()
        raise Failed('it did what it must not')

    async def misses(bench):
        raise Inconclusive('it did not come to it')

    @pytest.mark.parametrize('play', [fails, misses], ids=lambda play: play.__name__)
    def test_case(play, conformance):
        conformance(Case(f'SECC.own.{play.__name__}', '', Role.SECC, Group.CODES, '', '', play))
"""


def test_each_case_is_a_test_with_its_id_and_requirements(run: Run, pytester: pytest.Pytester) -> None:
    ran = run(SUITE, "-v", "--junitxml=junit.xml")
    ran.assert_outcomes(passed=2)
    ran.stdout.fnmatch_lines(["*::test_case[[]SECC.silence.SessionSetupReq.nothing[]] PASSED*"])
    assert 'name="requirements" value="V2G20-443 V2G20-441"' in (pytester.path / "junit.xml").read_text()


def test_failures_show_why_and_what_was_said(run: Run) -> None:
    ran = run(OWN)
    ran.assert_outcomes(failed=1, skipped=1)
    ran.stdout.fnmatch_lines(["E *it did what it must not", "* SessionSetupRes *", "trace: *"])
    ran.stdout.fnmatch_lines(["*inconclusive: it did not come to it"])


def test_what_the_device_does_not_support_is_skipped_and_what_is_known_expected(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "capabilities.toml"
    file.write_text('[known]\n"SECC.own.*" = "ticket 4711"\n')
    ran = run(OWN, "--hlc-capabilities", str(file), "-k", "fails")
    ran.assert_outcomes(xfailed=1)
    ran.stdout.fnmatch_lines(["*it did what it must not; known: ticket 4711*"])
    file.write_text('services = ["ac"]\n')
    ran = run(SUITE, "--hlc-capabilities", str(file))
    ran.assert_outcomes(passed=1, skipped=1)
    ran.stdout.fnmatch_lines(["*not applicable: the device does not state service:dc*"])


def test_of_a_device_it_must_be_said_what_it_supports(run: Run) -> None:
    ran = run(OWN, "--hlc-secc", "[::1]:1", "--hlc-lab-plain-tcp", "-k", "fails")
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*say with --hlc-capabilities what the device supports*"])


def test_a_pattern_without_a_case_is_an_error(run: Run) -> None:
    ran = run(SUITE.replace("(*PATTERNS)", "('SECC.pause.*', 'x')"))
    ran.stdout.fnmatch_lines(["*no conformance case is called 'x'*"])
