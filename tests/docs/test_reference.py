"""The generated reference pages say what the standard's tables say, and leave nothing out."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest
import typer

from hlc_sim.cli.app import app
from hlc_sim.config import StationConfig, VehicleConfig
from iso15118.messages.schema_sets import SchemaSet, schema_of
from iso15118.session.timers import TIMERS
from tools.export_docs import pages


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return dict(pages())


def section(page: str, title: str) -> str:
    match = re.search(rf"^### {title}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert match, f"no section {title}"
    return match.group(1)


@pytest.mark.parametrize(
    ("page", "message", "element", "unit", "occurs"),
    [
        ("dc", "DC_PreChargeReq", "EVTargetVoltage", "V", "1"),
        ("dc", "DC_CPDReqEnergyTransferMode", "TargetSOC", "%", "0..1"),
        ("dc", "Scheduled_DC_CLReqControlMode", "EVMaximumChargePower", "W", "0..1"),
        ("common_types", "MessageHeader", "TimeStamp", "Unix s", "1"),
        ("common", "PriceRuleStack", "PriceRule", "", "1..8"),
        ("common", "PriceRuleStackList", "PriceRuleStack", "", "1..1024"),
        ("app_protocol", "SupportedAppProtocolReq", "AppProtocol", "", "1..20"),
    ],
)
def test_unit_and_cardinality_of_an_element(
    reference: dict[str, str], page: str, message: str, element: str, unit: str, occurs: str
) -> None:
    rows = [
        line for line in section(reference[f"messages/{page}.md"], message).splitlines() if element in line
    ]
    assert any(row.split(" | ")[3:5] == [unit, occurs] for row in rows), rows


def test_every_global_element_is_on_a_page(reference: dict[str, str]) -> None:
    text = "\n".join(page for name, page in reference.items() if name.startswith("messages/"))
    names = {element.qname.local for schema_set in SchemaSet for element in schema_of(schema_set).elements}
    assert [name for name in sorted(names) if name.lower() not in text.lower()] == []


def test_every_command_and_timer_is_on_a_page(reference: dict[str, str]) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if f"## hlc {name}" not in reference["hlc.md"]] == []
    assert [timer.name for timer in TIMERS if f"`{timer.name}`" not in reference["timers.md"]] == []


def test_defaults_are_in_the_table_of_settings(reference: dict[str, str]) -> None:
    rows = reference["configuration.md"].splitlines()
    assert any(row.startswith("| `max_charge_current` | number | `250.0` |") for row in rows)
    assert any(row.startswith("| `three_phase_connector` | integer | `3` |") for row in rows)
    assert "certificate_installation]" not in reference["configuration.md"], "code cannot stand in a file"


@pytest.mark.parametrize("kind", [StationConfig, VehicleConfig])
def test_every_key_that_a_file_may_have_is_in_the_table_of_settings(
    kind: type, reference: dict[str, str]
) -> None:
    def keys(value: object) -> Iterator[str]:
        for item in fields(value):  # type: ignore[arg-type]
            if item.init:
                yield item.name
                if is_dataclass(inner := getattr(value, item.name)):
                    yield from keys(inner)

    page = reference["configuration.md"]
    assert [name for name in keys(kind()) if f"| `{name}` |" not in page] == []


def test_no_object_shows_its_address(reference: dict[str, str]) -> None:
    assert [name for name, page in reference.items() if " object at 0x" in page or "<class" in page] == []
