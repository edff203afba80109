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
    ".broken": ("Broken", "Variant", "break_chain", "variants"),
    ".certificate": ("Credential", "Urls"),
    ".hierarchy": ("Hierarchy",),
    ".inspect": ("inspect_chain", "read_certificates"),
    ".profiles": ("Edition", "Family", "Role"),
    ".revocation": ("revoke",),
}
"""The names by their modules, which are imported when a name is first used."""


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
