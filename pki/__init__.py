"""V2G certificate hierarchies: minted, inspected, and broken on purpose.

    hierarchy = Hierarchy.mint()
    hierarchy.write(Path("pki"))
    hierarchy["secc"].chain_der

`break_chain(hierarchy, name)` makes one of the `variants()` that a device must refuse; `inspect_chain` says
what each certificate is and which rule it breaks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .broken import Broken, Variant, break_chain, variants
    from .certificate import Credential, Urls
    from .hierarchy import Hierarchy
    from .inspect import inspect_chain, read_certificates
    from .profiles import Edition, Family, Role
    from .revocation import revoke

__all__ = [
    "Broken",
    "Credential",
    "Edition",
    "Family",
    "Hierarchy",
    "Role",
    "Urls",
    "Variant",
    "break_chain",
    "inspect_chain",
    "read_certificates",
    "revoke",
    "variants",
]

_HOMES = {
    "Broken": "broken",
    "Variant": "broken",
    "break_chain": "broken",
    "variants": "broken",
    "Credential": "certificate",
    "Urls": "certificate",
    "Hierarchy": "hierarchy",
    "inspect_chain": "inspect",
    "read_certificates": "inspect",
    "Edition": "profiles",
    "Family": "profiles",
    "Role": "profiles",
    "revoke": "revocation",
}
"""The module of each name, imported when the name is first used."""


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
