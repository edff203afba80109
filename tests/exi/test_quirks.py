"""Peers' known encodings: written on request, recognised by the tolerant reading."""

from __future__ import annotations

import pytest

from iso15118 import exi
from iso15118.exi import DeviationKind, Quirk
from iso15118.messages import acdp, common
from iso15118.messages.common_types import MessageHeader, Processing, RationalNumber, ResponseCode

HEADER = MessageHeader(session_id=bytes(range(8)), timestamp=1_700_000_000)


def service_discovery(services: int) -> common.ServiceDiscoveryRes:
    return common.ServiceDiscoveryRes(
        header=HEADER,
        response_code=ResponseCode.OK,
        service_renegotiation_supported=False,
        energy_transfer_service_list=common.ServiceList(
            service=[common.Service(service_id=i, free_service=False) for i in range(services)]
        ),
    )


def bits(octets: bytes) -> str:
    return f"{int.from_bytes(octets):0{8 * len(octets)}b}"


def test_cbv2g_writes_the_end_of_a_full_list_in_two_bits() -> None:
    full = service_discovery(8)
    exact, quirky = exi.encode(full), exi.encode(full, quirk=Quirk.LISTS_NEVER_FULL)
    # The list ends with EE: "0" where no entry may follow, "01" where one might. Then no VASList: "01".
    assert bits(quirky).rstrip("0") == bits(exact).rstrip("0").removesuffix("001") + "0101"
    with pytest.raises(exi.EXIDecodeError):
        exi.decode(quirky, "iso20_common")
    deviations: list[exi.Deviation] = []
    assert exi.decode(quirky, "iso20_common", deviations=deviations) == full
    assert [(d.kind, d.content) for d in deviations] == [(DeviationKind.QUIRK, Quirk.LISTS_NEVER_FULL)]


def test_a_list_that_is_not_full_shows_no_quirk() -> None:
    for services in (1, 7):
        message = service_discovery(services)
        assert exi.encode(message, quirk=Quirk.LISTS_NEVER_FULL) == exi.encode(message)


def test_lists_of_two_are_right_everywhere() -> None:
    message = common.AuthorizationSetupRes(
        header=HEADER,
        response_code=ResponseCode.OK,
        authorization_services=[common.Authorization.EIM, common.Authorization.PnC],
        certificate_installation_service=True,
        authorization_mode=common.EIM_ASResAuthorizationMode(),
    )
    assert exi.encode(message, quirk=Quirk.LISTS_NEVER_FULL) == exi.encode(message)


def test_josev_takes_long_lists_for_endless_ones() -> None:
    def profile(entries: int) -> common.PowerDeliveryReq:
        entry = common.PowerScheduleEntry(duration=1, power=RationalNumber(exponent=0, value=1))
        return common.PowerDeliveryReq(
            header=HEADER,
            ev_processing=Processing.Finished,
            charge_progress=common.ChargeProgress.Start,
            ev_power_profile=common.EVPowerProfile(
                time_anchor=0,
                control_mode=common.Dynamic_EVPPTControlMode(),
                ev_power_profile_entries=common.EVPowerProfileEntryList(
                    ev_power_profile_entry=[entry] * entries
                ),
            ),
        )

    longest = profile(2048)
    quirky = exi.encode(longest, quirk=Quirk.LONG_LISTS_NEVER_FULL)
    assert quirky != exi.encode(longest)
    assert exi.encode(profile(2047), quirk=Quirk.LONG_LISTS_NEVER_FULL) == exi.encode(profile(2047))
    assert exi.codec("iso20_common").with_quirk(Quirk.LONG_LISTS_NEVER_FULL).decode(quirky) == longest
    short = service_discovery(8)
    assert exi.encode(short, quirk=Quirk.LONG_LISTS_NEVER_FULL) == exi.encode(short)


def test_one_entry_too_many_cannot_be_expressed() -> None:
    with pytest.raises(exi.EXIEncodeError) as caught:
        exi.encode(service_discovery(9))
    assert caught.value.path == "ServiceDiscoveryRes/EnergyTransferServiceList/Service"
    assert "expected the end of the element" in str(caught.value)


def test_cbv2g_swaps_two_acdp_roots() -> None:
    response = acdp.ACDP_ConnectRes(
        header=HEADER,
        response_code=ResponseCode.OK,
        evse_processing=Processing.Finished,
        evse_electrical_charging_device_status=acdp.ElectricalChargingDeviceStatus.State_C,
        evse_mechanical_charging_device_status=acdp.MechanicalChargingDeviceStatus.EndPosition,
    )
    quirky = exi.encode(response, quirk=Quirk.ACDP_ROOTS_SWAPPED)
    assert bits(quirky)[8:14] == "000010"  # the code of ACDP_DisconnectReq
    assert bits(exi.encode(response))[8:14] == "000001"
    assert bits(quirky)[14:] == bits(exi.encode(response))[14:]
    deviations: list[exi.Deviation] = []
    assert exi.decode(quirky, "iso20_acdp", deviations=deviations) == response
    assert [d.content for d in deviations] == [Quirk.ACDP_ROOTS_SWAPPED]


def test_only_acdp_has_those_roots() -> None:
    with pytest.raises(ValueError, match="no ACDP messages"):
        exi.encode(service_discovery(1), quirk=Quirk.ACDP_ROOTS_SWAPPED)
