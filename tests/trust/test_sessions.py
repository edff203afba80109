"""Whole sessions over TLS 1.3: Plug & Charge, falling back, installing, metering, prices, pausing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from hlc_sim.charger import Site
from hlc_sim.config import VehicleConfig
from hlc_sim.evcc import charge
from hlc_sim.transport.link import Link, Received
from hlc_sim.transport.tls import TLSError
from hlc_sim.trust import station_of, vehicle_of
from iso15118 import exi
from iso15118.messages import common
from iso15118.messages.common_types import EVSENotification, ResponseCode
from iso15118.messages.declare import Node
from iso15118.security.evcc_trust import ContractCredential
from iso15118.security.tls_profile import TLSVersion
from iso15118.security.xmlsig import sign_message
from iso15118.session.charger import SiteWish
from iso15118.session.evcc_steps import Outcome
from iso15118.session.events import Role
from iso15118.session.services import Pricing
from iso15118.session.vehicle import Wish
from pki.broken import break_chain
from pki.hierarchy import Hierarchy
from pki.profiles import Edition, Family
from pki.profiles import Role as PKIRole
from pki.revocation import revoke

from .conftest import Lab, mint, told

PNC, EIM = common.Authorization.PnC, common.Authorization.EIM
EMAID = "DEHLCC12345678"


@pytest.mark.parametrize(
    ("mode", "control"), [("dc", "dynamic"), ("dc_bpt", "scheduled"), ("ac", "scheduled")]
)
async def test_plug_and_charge(lab: Lab, autojump_clock: MockClock, mode: str, control: str) -> None:
    lab.mode, lab.control = mode, control
    report = await lab.charge()
    assert report.session.outcome is Outcome.TERMINATED
    assert (report.session.authorization, report.session.authorization_code) == (PNC, ResponseCode.OK)
    assert report.emaid == lab.reports[0].emaid == EMAID
    assert report.tls == lab.reports[0].tls == "TLS 1.3, TLS_AES_256_GCM_SHA384, secp521r1"
    assert report.messages["AuthorizationReq"] == 1
    # How many phases a connector has is written in two ways, which is noted.
    assert [text for text in told(report.session.deviations) if "Connector" not in text] == []
    assert lab.texts() == []


@pytest.mark.parametrize(
    ("edition", "family"),
    [
        (Edition.ISO_20, Family.ED448),
        (Edition.AMD1, Family.P521),
        (Edition.AMD1, Family.ED448),
        (Edition.LENIENT, Family.P256),
    ],
)
async def test_the_other_editions_and_keys(
    lab: Lab, autojump_clock: MockClock, edition: Edition, family: Family
) -> None:
    lab.hierarchy = mint(edition, family)
    lab.__post_init__()
    report = await lab.charge()
    assert report.session.outcome is Outcome.TERMINATED
    assert report.emaid == EMAID
    remarks = [*told(report.session.deviations), *lab.texts()]
    if edition is Edition.LENIENT:
        assert remarks
        assert all("ecdsa-sha256 is not of ISO 15118-20" in remark for remark in remarks)
    else:
        assert remarks == []


# -- authorization ---------------------------------------------------------------------------------------


def broken_contract(name: str) -> ContractCredential:
    broken = break_chain(mint(), name, datetime.now(UTC))
    return ContractCredential(tuple(broken.chain), broken.key)  # type: ignore[arg-type]


async def test_a_refused_contract_gives_way_to_the_next(lab: Lab, autojump_clock: MockClock) -> None:
    own = lab.vehicle()
    assert own.wallet is not None
    own.wallet.contracts.insert(0, broken_contract("contract-expired"))
    report = await lab.charge(own)
    assert report.session.outcome is Outcome.TERMINATED
    assert report.emaid == EMAID
    assert report.messages["AuthorizationReq"] == 2
    assert [text for text in lab.texts() if "contract chain: leaf: expired" in text]


async def test_a_refused_contract_gives_way_to_eim(lab: Lab, autojump_clock: MockClock) -> None:
    own = lab.vehicle()
    assert own.wallet is not None
    own.wallet.contracts[:] = [broken_contract("contract-eku")]
    report = await lab.charge(own)
    assert report.session.outcome is Outcome.TERMINATED
    assert report.session.authorization is EIM
    assert report.emaid == lab.reports[0].emaid == ""


async def test_without_eim_a_refused_contract_is_replaced_by_an_installed_one(
    lab: Lab, autojump_clock: MockClock
) -> None:
    own = lab.vehicle()
    assert own.wallet is not None
    own.wallet.contracts[:] = [broken_contract("contract-expired")]
    report = await lab.charge(own, eim=False)
    assert report.session.outcome is Outcome.TERMINATED
    assert report.messages["CertificateInstallationReq"] == 1
    assert report.emaid == EMAID
    assert len(own.wallet.contracts) == 1  # the new one took the place of the expired one


async def test_with_nothing_accepted_the_vehicle_leaves(lab: Lab, autojump_clock: MockClock) -> None:
    own = lab.vehicle()
    assert own.wallet is not None
    own.wallet.contracts[:] = [broken_contract("contract-eku")]
    report = await lab.charge(own, eim=False, certificate_installation=None)
    assert report.session.outcome is Outcome.ABORTED
    assert "WARNING_CertificateValidationError" in report.session.reason


async def test_a_contract_that_ends_soon_is_accepted_and_said_so(lab: Lab, autojump_clock: MockClock) -> None:
    own = lab.vehicle()
    assert own.wallet is not None
    own.wallet.contracts[:] = [broken_contract("contract-expires-soon")]
    report = await lab.charge(own)
    assert report.session.outcome is Outcome.TERMINATED
    assert report.session.authorization_code is ResponseCode.OK_CertificateExpiresSoon


async def test_a_revoked_contract_in_a_pki_directory_is_refused(lab: Lab, autojump_clock: MockClock) -> None:
    good = lab.hierarchy
    marked = Hierarchy(good.edition, good.family, good.created, good.urls, good.credentials)
    revoke(marked, "contract", "keyCompromise")
    lab.trust = station_of(marked)
    report = await lab.charge(certificate_installation=None)
    assert report.session.authorization is EIM
    assert any("revoked" in text for text in lab.texts())


async def test_a_station_without_plug_and_charge(lab: Lab, autojump_clock: MockClock) -> None:
    lab.trust = station_of(lab.hierarchy, plug_and_charge=False)
    report = await lab.charge()
    assert report.session.outcome is Outcome.TERMINATED
    assert report.session.authorization is EIM


async def test_a_vehicle_without_plug_and_charge(lab: Lab, autojump_clock: MockClock) -> None:
    report = await lab.charge(lab.vehicle(plug_and_charge=False))
    assert report.session.outcome is Outcome.TERMINATED
    assert report.session.authorization is EIM
    assert "CertificateInstallationReq" not in report.messages


class Forger:
    """Flips a bit of every contract signature on its way out."""

    async def outgoing(self, link: Link, payload_type: int, message: Node) -> None:
        if isinstance(message, common.AuthorizationReq):
            signature = message.header.signature
            assert signature is not None
            value = signature.signature_value.value
            signature.signature_value.value = value[:-1] + bytes([value[-1] ^ 1])
        await link.write(payload_type, exi.encode(message), message)

    async def incoming(self, link: Link, received: Received) -> Received:
        return received


async def test_a_forged_signature_ends_the_session(lab: Lab, autojump_clock: MockClock) -> None:
    report = await lab.charge(intervention=Forger())
    assert report.session.outcome is Outcome.FAILED_RESPONSE
    assert report.session.response_code is ResponseCode.FAILED_SignatureError


async def test_the_evccid_is_the_name_in_the_certificate(lab: Lab, autojump_clock: MockClock) -> None:
    """[V2G20-2598]: reported, in strict mode refused."""
    report = await lab.charge(evcc_id="WMZV000000000000000X")
    assert report.session.outcome is Outcome.TERMINATED
    assert any("V2G20-2598" in text for text in lab.texts())
    lab.secc = {"strict": True}
    lab.open()
    report = await lab.charge(evcc_id="WMZV000000000000000X")
    assert report.session.outcome is Outcome.FAILED_RESPONSE


# -- installation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Family.P521, Family.ED448])
async def test_a_vehicle_without_contract_installs_and_uses_one(
    lab: Lab, autojump_clock: MockClock, family: Family
) -> None:
    lab.hierarchy = mint(Edition.ISO_20, family)
    lab.__post_init__()
    own = vehicle_of(lab.hierarchy, contracts=())
    report = await lab.charge(own)
    assert report.session.outcome is Outcome.TERMINATED
    assert report.messages["CertificateInstallationReq"] == 1
    assert report.emaid == EMAID
    assert told(report.session.deviations) == []
    again = await lab.charge(own)
    assert "CertificateInstallationReq" not in again.messages
    assert again.emaid == EMAID


async def test_several_contracts_and_a_slow_service(lab: Lab, autojump_clock: MockClock) -> None:
    hierarchy = Hierarchy.mint(seed="several")
    hierarchy.issue(PKIRole.CONTRACT, "DEHLCC12345672", name="second")
    lab.hierarchy = hierarchy
    lab.trust = station_of(hierarchy, provisioning_time=0.5)
    own = vehicle_of(hierarchy, contracts=())
    report = await lab.charge(own)
    assert report.session.outcome is Outcome.TERMINATED
    assert own.wallet is not None
    assert len(own.wallet.contracts) == 2
    assert report.messages["CertificateInstallationReq"] > 8
    assert report.session.authorization is PNC


# -- meter and prices ------------------------------------------------------------------------------------


METERING = [(60.0, SiteWish(EVSENotification.MeteringConfirmation))]


async def test_a_meter_reading_is_signed_with_the_contract_and_confirmed(
    lab: Lab, autojump_clock: MockClock
) -> None:
    lab.station_config = {"site": Site(wishes=tuple(METERING))}
    report = await lab.charge()
    assert report.session.outcome is Outcome.TERMINATED
    assert report.messages["MeteringConfirmationReq"] == 1
    assert report.messages["MeteringConfirmationRes"] == 1
    assert lab.texts() == []


async def test_a_meter_reading_signed_with_another_key_is_refused(
    lab: Lab, autojump_clock: MockClock
) -> None:
    other: Any = mint()["vehicle"].key
    lab.station_config = {"site": Site(wishes=tuple(METERING))}
    report = await lab.charge(sign_metering=lambda request, contract: sign_message(request, other))
    assert report.session.outcome is Outcome.FAILED_RESPONSE
    assert report.session.response_code is ResponseCode.FAILED_MeteringSignatureNotValid
    assert any("metering signature is wrong" in text for text in lab.texts())


async def test_after_eim_no_meter_reading_is_signed(lab: Lab, autojump_clock: MockClock) -> None:
    lab.station_config = {"site": Site(wishes=tuple(METERING))}
    report = await lab.charge(contracts=[], certificate_installation=None)
    assert report.session.outcome is Outcome.TERMINATED
    assert report.session.authorization is EIM
    assert "MeteringConfirmationReq" not in report.messages


class Prices:
    """Notes the schedule responses; `change` may damage them."""

    def __init__(self, damage: bool = False) -> None:
        self.seen: list[common.ScheduleExchangeRes] = []
        self.damage = damage

    async def outgoing(self, link: Link, payload_type: int, message: Node) -> None:
        await link.write(payload_type, exi.encode(message), message)

    async def incoming(self, link: Link, received: Received) -> Received:
        message = received.message
        if isinstance(message, common.ScheduleExchangeRes):
            self.seen.append(message)
            if self.damage:
                mode = message.control_mode
                assert isinstance(mode, common.Scheduled_SEResControlMode)
                price = mode.schedule_tuple[0].charging_schedule.price_schedule
                assert isinstance(price, common.AbsolutePriceSchedule)
                price.currency = "XXX"
        return received


def priced(lab: Lab) -> None:
    """The station offers absolute prices."""
    lab.control = "scheduled"
    lab.open()
    config = lab.station.config
    energy = tuple(replace(mode, pricing=Pricing.ABSOLUTE) for mode in config.energy)
    lab.station.config = replace(config, energy=energy)


async def test_prices_are_signed_by_the_emsp_and_verified(lab: Lab, autojump_clock: MockClock) -> None:
    priced(lab)
    prices = Prices()
    report = await lab.charge(intervention=prices)
    assert report.session.outcome is Outcome.TERMINATED
    assert all(item.header.signature is not None for item in prices.seen)
    assert told(report.session.deviations) == []


async def test_changed_prices_are_noticed(lab: Lab, autojump_clock: MockClock) -> None:
    priced(lab)
    report = await lab.charge(intervention=Prices(damage=True))
    assert any("signature over the prices is wrong" in text for text in told(report.session.deviations))


async def test_a_strict_vehicle_leaves_over_changed_prices(lab: Lab, autojump_clock: MockClock) -> None:
    priced(lab)
    report = await lab.charge(intervention=Prices(damage=True), strict=True)
    assert report.session.outcome is Outcome.ABORTED
    assert "signature over the prices" in report.session.reason


async def test_prices_are_not_signed_for_eim(lab: Lab, autojump_clock: MockClock) -> None:
    priced(lab)
    prices = Prices()
    await lab.charge(intervention=prices, contracts=[], certificate_installation=None)
    assert [item.header.signature for item in prices.seen] == [None]


# -- pause -----------------------------------------------------------------------------------------------


PAUSE = [(20.0, Wish.PAUSE)]


async def test_the_vehicle_that_paused_resumes_without_authorization(
    lab: Lab, autojump_clock: MockClock
) -> None:
    own = lab.vehicle()
    first = await lab.charge(own, wishes=PAUSE)
    assert first.session.outcome is Outcome.PAUSED
    second = await lab.charge(own, resume=first.session.paused)
    assert second.session.outcome is Outcome.TERMINATED
    assert second.session.resumed
    assert second.session.session_id == first.session.session_id
    assert "AuthorizationReq" not in second.messages
    assert second.emaid == EMAID


async def test_after_a_pause_the_contract_still_signs(lab: Lab, autojump_clock: MockClock) -> None:
    own = lab.vehicle()
    lab.station_config = {"site": Site(wishes=tuple(METERING))}
    first = await lab.charge(own, wishes=PAUSE)
    assert "MeteringConfirmationReq" not in first.messages
    second = await lab.charge(own, resume=first.session.paused)
    assert second.session.outcome is Outcome.TERMINATED
    assert second.messages["MeteringConfirmationRes"] >= 1


async def test_another_vehicle_cannot_resume_the_session(lab: Lab, autojump_clock: MockClock) -> None:
    """[V2G20-2545]: it has SessionID and EVCCID of the other, but not its certificate."""
    hierarchy = Hierarchy.mint(seed="two vehicles")
    hierarchy.issue(PKIRole.VEHICLE, "WMZV000000000000000X", name="other")
    lab.hierarchy = hierarchy
    lab.__post_init__()
    own, other = lab.vehicle(), lab.vehicle(name="other")
    first = await lab.charge(own, wishes=PAUSE)
    thief = await lab.charge(other, resume=first.session.paused, evcc_id=own.settings["evcc_id"])
    assert not thief.session.resumed
    assert thief.session.session_id != first.session.session_id
    assert thief.messages["AuthorizationReq"] == 1
    back = await lab.charge(own, resume=first.session.paused)
    assert back.session.resumed


async def test_another_station_with_the_same_store_is_noticed(lab: Lab, autojump_clock: MockClock) -> None:
    """[V2G20-2614]: the vehicle compares the certificate of the station."""
    own = lab.vehicle()
    first = await lab.charge(own, wishes=PAUSE)
    paused = first.session.paused
    assert paused is not None
    assert paused.secc_identity is not None
    second = await lab.charge(own, resume=replace(paused, secc_identity=bytes(64)))
    assert second.session.outcome is Outcome.ABORTED
    assert "another SECC" in second.session.reason


# -- TLS is required -------------------------------------------------------------------------------------


async def test_a_vehicle_of_an_unknown_maker_does_not_get_in(lab: Lab, autojump_clock: MockClock) -> None:
    stranger = vehicle_of(Hierarchy.mint(seed="stranger"))
    tls = replace(stranger.tls, roots=lab.vehicle().tls.roots)
    report = await lab.charge(replace(stranger, tls=tls))
    assert report.session.outcome is Outcome.CONNECTION_LOST
    assert report.messages.keys() <= {"supportedAppProtocolReq"}
    assert "refused by the peer: alert 48 unknown_ca" in report.session.reason
    assert "alert 48" in lab.reports[0].ended


async def test_a_station_of_an_unknown_root_is_refused_by_the_vehicle(
    lab: Lab, autojump_clock: MockClock
) -> None:
    stranger = vehicle_of(Hierarchy.mint(seed="stranger"))
    tls = replace(lab.vehicle().tls, roots=stranger.tls.roots)
    with pytest.raises(TLSError, match="48"):
        await lab.charge(replace(lab.vehicle(), tls=tls))
    with trio.fail_after(10):
        while not lab.reports:
            await trio.sleep(0.01)
    assert lab.reports[0].frames == 0


async def test_over_tls_1_2_the_station_does_not_choose_iso_20(lab: Lab, autojump_clock: MockClock) -> None:
    """[V2G20-2356]; the lenient profile shakes hands over TLS 1.2, but the session must not go on."""
    lab.hierarchy = mint(Edition.LENIENT)
    lab.__post_init__()
    own = lab.vehicle()
    old = replace(own.tls.profile, versions=(TLSVersion.TLS_1_2,))
    report = await lab.charge(replace(own, tls=replace(own.tls, profile=old)))
    assert report.tls.startswith("TLS 1.2")
    assert report.session.outcome is Outcome.NO_PROTOCOL
    assert any("V2G20-1805" in text for text in lab.texts())


async def test_plain_v2gtp_on_the_tls_port_is_closed(lab: Lab, autojump_clock: MockClock) -> None:
    lab.open()
    near, far = memory_stream_pair()
    lab.nursery.start_soon(lab.station.handle, far)
    config = VehicleConfig(mode="dc")
    report = await charge(Link(near, Role.EVCC), config.session(), config.vehicle())
    assert report.session.outcome is Outcome.CONNECTION_LOST
    with trio.fail_after(10):
        while not lab.reports:
            await trio.sleep(0.01)
    assert lab.reports[0].frames == 0
    assert "no secured connection" in lab.reports[0].ended


async def test_a_silent_peer_on_the_tls_port_is_closed(lab: Lab, autojump_clock: MockClock) -> None:
    lab.open()
    near, far = memory_stream_pair()
    lab.nursery.start_soon(lab.station.handle, far)
    with trio.fail_after(60):
        assert await near.receive_some() == b""
        await wait_all_tasks_blocked()
    assert "took too long" in lab.reports[0].ended
