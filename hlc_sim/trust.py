"""What a station and a vehicle need for TLS and Plug & Charge, made from a hierarchy or from files.

station, vehicle = station_of(hierarchy), vehicle_of(hierarchy)
Station(replace(config, **station.offers), ..., secure=securing(station.tls), trust=station.trust)
charge(link, replace(evcc_config, **vehicle.settings), ...)
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from cryptography import x509

from iso15118.messages import common, xmldsig
from iso15118.security.chain import Edition, Policy
from iso15118.security.credentials import common_name
from iso15118.security.evcc_trust import ContractCredential, Installer, ProvisioningCredential, Wallet
from iso15118.security.secc_trust import ContractJudge
from iso15118.security.signature_primitives import SigningKey
from iso15118.security.tls_profile import ISO_20, LENIENT, TLSProfile, TLSVersion
from iso15118.security.xmlsig import make_signature, signed_elements
from iso15118.session.secc_config import LinkSecurity, Trust
from iso15118.session.timers import STRICT
from pki.hierarchy import Hierarchy
from pki.profiles import Role as PKIRole
from pki.revocation import crl, staple

from .config.trust import TrustConfig
from .cps import ProvisioningService
from .transport.tls import TLSConfig, TLSCredential, TLSError, TLSFacts, TLSStream, load_certificates, secure

log = logging.getLogger(__name__)

MINT = "v2g-pki mint --out DIR"
_STATION_NAMES = ("secc", "secc_b")


@dataclass(frozen=True)
class StationTrust:
    """TLS, the hooks of the SECC, and the fields of SECCConfig that follow from them."""

    tls: TLSConfig
    trust: Trust | None = None
    offers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VehicleTrust:
    """TLS, the contracts, and the fields of EVCCConfig that follow from them."""

    tls: TLSConfig
    wallet: Wallet | None = None
    settings: dict[str, Any] = field(default_factory=dict, repr=False)


def station(config: TrustConfig) -> StationTrust:
    """What `[trust]` says for a station. ValueError or OSError names what is missing."""
    if config.pki is not None:
        names = (config.credential,) if config.credential else _STATION_NAMES
        made = station_of(
            Hierarchy.load(Path(config.pki)),
            names=names,
            profile=config.profile,
            plug_and_charge=config.plug_and_charge,
            provisioning_time=config.provisioning_time,
        )
        return dataclasses.replace(made, tls=_with_keylog(made.tls, config))
    tls = _usable(_from_files(config))
    if not (config.contract_roots and config.plug_and_charge):
        return StationTrust(tls)
    judge = ContractJudge(_roots(config.contract_roots), tls.policy)
    trust = Trust(authorize_contract=judge.authorize, verify_metering=judge.verify_metering)
    return StationTrust(tls, trust, {"pnc": True})


def vehicle(config: TrustConfig) -> VehicleTrust:
    """What `[trust]` says for a vehicle. ValueError or OSError names what is missing."""
    if config.pki is not None:
        made = vehicle_of(
            Hierarchy.load(Path(config.pki)),
            name=config.credential or "vehicle",
            profile=config.profile,
            plug_and_charge=config.plug_and_charge,
            contracts=config.contracts,
        )
        return dataclasses.replace(made, tls=_with_keylog(made.tls, config))
    tls = _usable(_from_files(config))
    settings: dict[str, Any] = {"evcc_id": common_name(tls.credentials[0].chain[0])}
    if config.contract is None or config.contract_key is None or not config.plug_and_charge:
        return VehicleTrust(tls, None, settings)
    contract = TLSCredential.load(Path(config.contract), Path(config.contract_key))
    wallet = Wallet(
        [ContractCredential(contract.chain, contract.key)],  # type: ignore[arg-type]
        lenient=tls.policy.edition is Edition.LENIENT,
    )
    return VehicleTrust(tls, wallet, settings | wallet_settings(wallet))


def _usable(tls: TLSConfig) -> TLSConfig:
    """ValueError if the profile cannot sign with the key: no handshake would succeed, with an alert that
    says nothing of the key.
    """
    for own in tls.credentials:
        if tls.profile is not LENIENT and own.scheme not in tls.profile.schemes:
            kind = own.scheme.name.lower() if own.scheme is not None else type(own.key).__name__
            wanted = " or ".join(scheme.name.lower() for scheme in tls.profile.schemes)
            raise ValueError(
                f"the certificate's key signs with {kind}, TLS profile {tls.profile.name} wants {wanted}; "
                "--profile lenient takes others"
            )
    return tls


def station_of(
    hierarchy: Hierarchy,
    *,
    names: Sequence[str] = _STATION_NAMES,
    profile: str | None = None,
    plug_and_charge: bool = True,
    provisioning_time: float = 0.0,
) -> StationTrust:
    """A station with the credentials `names` of a hierarchy, fresh OCSP staples and CRLs; its eMSP and its
    provisioning service are simulated with the keys that the hierarchy has.
    """
    policy, tls_profile = _rules(hierarchy, profile)
    credentials = []
    for name in names:
        own = hierarchy[name]
        credentials.append(TLSCredential(tuple(own.chain_der), own.key, staple(hierarchy, name)))
    crls = _crls(hierarchy)
    tls = TLSConfig(
        tuple(credentials),
        _certificates(hierarchy, "v2g_root", "oem_root"),
        tls_profile,
        policy=policy,
        crls=crls,
    )
    if not plug_and_charge:
        return StationTrust(tls)
    judge = ContractJudge(_certificates(hierarchy, "mo_root", "v2g_root"), policy, crls)
    emsp = hierarchy["mo_sub2"]
    trust = Trust(
        authorize_contract=judge.authorize,
        install_certificate=ProvisioningService.of_hierarchy(hierarchy, seconds=provisioning_time),
        verify_metering=judge.verify_metering,
        sign_prices=price_signer(emsp.der, emsp.signing_key),
    )
    return StationTrust(tls, trust, {"pnc": True, "certificate_installation": True})


def vehicle_of(
    hierarchy: Hierarchy,
    *,
    name: str = "vehicle",
    profile: str | None = None,
    plug_and_charge: bool = True,
    contracts: Sequence[str] | None = None,
) -> VehicleTrust:
    """A vehicle with the credential `name` of a hierarchy and its contracts: the named ones, or all."""
    policy, tls_profile = _rules(hierarchy, profile)
    own = hierarchy[name]
    v2g_roots = _certificates(hierarchy, "v2g_root")
    tls = TLSConfig((TLSCredential(tuple(own.chain_der), own.key),), v2g_roots, tls_profile, policy=policy)
    settings: dict[str, Any] = {"evcc_id": common_name(own.der)}
    if not plug_and_charge:
        return VehicleTrust(tls, None, settings)
    if contracts is None:
        held = [item for item in hierarchy.credentials.values() if item.role is PKIRole.CONTRACT]
    else:
        held = [hierarchy[item] for item in contracts]
    wallet = Wallet(
        (ContractCredential(tuple(item.chain_der), item.signing_key) for item in held),
        lenient=policy.edition is Edition.LENIENT,
    )
    oem = hierarchy["oem_provisioning"]
    provisioning = ProvisioningCredential(tuple(oem.chain_der), oem.signing_key, oem.agreement_key)
    installer = Installer(provisioning, v2g_roots, wallet, policy)
    settings |= wallet_settings(wallet) | {"certificate_installation": installer.hooks()}
    return VehicleTrust(tls, wallet, settings)


def wallet_settings(wallet: Wallet) -> dict[str, Any]:
    """The fields of EVCCConfig that make an EVCC use a wallet."""
    return {
        "contracts": wallet.contracts,
        "sign_metering": wallet.sign_metering,
        "verify_prices": wallet.verify_prices,
    }


def price_signer(
    issuer: bytes, key: SigningKey
) -> Callable[[common.ScheduleExchangeRes, common.ContractCertificateChain | None], xmldsig.Signature | None]:
    """A `Trust` hook: the eMSP whose CA `issuer` (DER) issues contracts signs prices for their holders."""

    def sign(
        response: common.ScheduleExchangeRes, contract: common.ContractCertificateChain | None
    ) -> xmldsig.Signature | None:
        if contract is None or contract.sub_certificates.certificate[0] != issuer:
            return None
        mode = response.control_mode
        priced: list[Any] = [mode]
        if isinstance(mode, common.Scheduled_SEResControlMode):
            priced = [
                item for t in mode.schedule_tuple for item in (t.charging_schedule, t.discharging_schedule)
            ]
        for number, item in enumerate((item for item in priced if item and item.price_schedule), start=1):
            item.price_schedule.id = f"ID{number}"
        elements = signed_elements(response)
        return make_signature(elements, key) if elements else None

    return sign


# -- connections -----------------------------------------------------------------------------------------


Told = Callable[[TLSFacts], None]
"""Told what a handshake came to, also one that failed."""


def securing(
    config: TLSConfig, told: Told | None = None
) -> Callable[[trio.abc.Stream], Awaitable[tuple[trio.abc.Stream, LinkSecurity]]]:
    """`Station.secure`: TLS over an accepted connection, and what its handshake proved."""

    async def shake_hands(stream: trio.abc.Stream) -> tuple[trio.abc.Stream, LinkSecurity]:
        try:
            secured = await secure(stream, config, server_side=True)
        except TLSError as error:
            if told is not None:
                told(error.facts)
            raise
        if told is not None:
            told(secured.facts)
        return secured, link_facts(secured.facts)

    return shake_hands


async def connecting(stream: trio.abc.Stream, config: TLSConfig) -> TLSStream:
    """TLS as EVCC. A station that does not come to the end of the handshake is given up like one that
    refuses: with a TLSError, when V2G_EVCC_CommunicationSetup_Timeout is over.
    """
    seconds = STRICT.seconds("V2G_EVCC_CommunicationSetup_Timeout")
    with trio.move_on_after(seconds):
        return await secure(stream, config, server_side=False)
    raise TLSError(f"the TLS handshake took more than {seconds:g} s", None, True, TLSFacts(False))


def link_facts(facts: TLSFacts) -> LinkSecurity:
    """What the SECC's session needs to know of a handshake."""
    evcc_id = None
    if facts.peer_leaf is not None:
        with contextlib.suppress(ValueError):  # accepted in spite of it, which the chain's verdict says
            evcc_id = common_name(facts.peer_leaf)
    return LinkSecurity(
        tls=facts.version is TLSVersion.TLS_1_3, vehicle_certificate=facts.peer_leaf, evcc_id=evcc_id
    )


def secc_identity(stream: TLSStream) -> bytes | None:
    """What tells this SECC from others when a paused session is resumed."""
    leaf = stream.facts.peer_leaf
    return hashlib.sha512(leaf).digest() if leaf else None


def emaid_of(contract: common.ContractCertificateChain) -> str:
    """The EMAID of a contract; empty if it cannot be read."""
    try:
        return common_name(contract.certificate)
    except ValueError:
        return ""


def describe(facts: TLSFacts) -> str:
    """A handshake in a line: version, suite, group."""
    version = {TLSVersion.TLS_1_3: "TLS 1.3", TLSVersion.TLS_1_2: "TLS 1.2"}.get(facts.version, "TLS")  # type: ignore[arg-type]
    return ", ".join(part for part in (version, facts.suite, facts.group) if part)


def remarks(facts: TLSFacts) -> tuple[str, ...]:
    """What was tolerated in the peer's certificates; all that is wrong, where they were not checked."""
    return tuple(map(str, facts.verdict.faults)) if facts.verdict is not None else ()


# -- pieces ----------------------------------------------------------------------------------------------


def _rules(hierarchy: Hierarchy, profile: str | None) -> tuple[Policy, TLSProfile]:
    edition = Edition(hierarchy.edition)
    if edition is Edition.ISO_2:
        raise ValueError("a hierarchy of edition iso2 has no certificates for ISO 15118-20")
    if profile is not None:
        lenient = profile == "lenient"
        if edition is Edition.LENIENT and not lenient:
            log.warning("certificates of edition lenient: handshakes fail under profile %s", profile)
        edition = Edition.LENIENT if lenient else Edition.ISO_20 if edition is Edition.LENIENT else edition
    return Policy(edition), LENIENT if edition is Edition.LENIENT else ISO_20


def _from_files(config: TrustConfig) -> TLSConfig:
    if config.cert is None or config.key is None or not config.roots:
        missing = [name for name in ("cert", "key", "roots") if not getattr(config, name)]
        raise ValueError(
            f"TLS needs a PKI directory ({MINT}), or cert, key and roots; {', '.join(missing)} missing"
        )
    lenient = config.profile == "lenient"
    return TLSConfig.load(
        Path(config.cert),
        Path(config.key),
        roots=[Path(root) for root in config.roots],
        staple=Path(config.staple) if config.staple else None,
        profile=LENIENT if lenient else ISO_20,
        policy=Policy(Edition.LENIENT if lenient else Edition.ISO_20),
        keylog=Path(config.keylog) if config.keylog else None,
    )


def _with_keylog(tls: TLSConfig, config: TrustConfig) -> TLSConfig:
    return dataclasses.replace(tls, keylog=Path(config.keylog)) if config.keylog else tls


def _roots(paths: Sequence[str]) -> list[x509.Certificate]:
    return [root for path in paths for root in load_certificates(Path(path))]


def _certificates(hierarchy: Hierarchy, *names: str) -> tuple[x509.Certificate, ...]:
    return tuple(hierarchy[name].certificate for name in names)


def _crls(hierarchy: Hierarchy) -> tuple[x509.CertificateRevocationList, ...]:
    """Of every CA that has revoked something: there is no OCSP responder to ask."""
    issuers = {
        item.issuer.name
        for item in hierarchy.credentials.values()
        if item.issuer is not None and item.certificate.serial_number in hierarchy.revoked
    }
    return tuple(x509.load_der_x509_crl(crl(hierarchy, name)) for name in sorted(issuers))
