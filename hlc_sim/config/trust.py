"""Where certificates, keys and roots come from; `hlc_sim.trust` makes something of it."""

from __future__ import annotations

from dataclasses import dataclass

from .common import one_of


@dataclass(slots=True)
class TrustConfig:
    """The table `[trust]` of both sides. Files are PEM; paths are relative to where `hlc` runs.

    Either `pki`, a directory made by `v2g-pki mint`, has everything, or the files are named one by one:
    `cert`, `key` and `roots` for TLS, and for Plug & Charge `contract_roots` at the station, `contract`
    and `contract_key` at the vehicle.
    """

    pki: str | None = None
    credential: str | None = None
    """Name of the own TLS certificate in `pki`; None: "secc" and "secc_b" at a station, "vehicle"."""
    cert: str | None = None
    """Certificate chain, leaf first, root left out."""
    key: str | None = None
    roots: tuple[str, ...] = ()
    """Trusted for the peer's chain."""
    staple: str | None = None
    """Station: OCSP response (DER) for the leaf."""
    profile: str | None = None
    """TLS and chain rules: "iso20", or "lenient" for peers that cannot do that; None: as `pki` was minted."""
    keylog: str | None = None
    """TLS secrets are appended there, in NSS format."""
    plug_and_charge: bool = True
    """Station: offer it, if there are roots for contracts. Vehicle: use it, if there is a contract."""
    contract_roots: tuple[str, ...] = ()
    contract: str | None = None
    contract_key: str | None = None
    contracts: tuple[str, ...] | None = None
    """Vehicle: names of contracts in `pki`, in order of preference; None: all. Empty: the vehicle has none
    and asks the provisioning service for them.
    """
    provisioning_time: float = 0.0
    """Station: s that the simulated provisioning service takes for a contract."""

    def __post_init__(self) -> None:
        if self.profile is not None:
            one_of("profile", self.profile, ("iso20", "lenient"))
        if self.pki is not None and (self.cert or self.key or self.roots):
            raise ValueError("pki and files (cert, key, roots) exclude each other")
        for first, second in (("cert", "key"), ("contract", "contract_key")):
            if (getattr(self, first) is None) is not (getattr(self, second) is None):
                raise ValueError(f"{first} and {second} come together")

    @property
    def given(self) -> bool:
        """Whether anything is said about certificates."""
        return self.pki is not None or self.cert is not None or bool(self.roots)
