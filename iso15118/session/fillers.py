"""Responses that say FAILED and still encode [V2G20-736]: every mandatory field has a valid, meaningless
value.
"""

from __future__ import annotations

import types
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from ..messages import ac, acdp, common, dc, wpt
from ..messages.common_types import MessageHeader, ResponseCode, V2GRequest, V2GResponse
from ..messages.declare import GLOBAL_ELEMENTS, Node, Occurs, OneOf, Xsd

RESPONSE_OF: dict[type[V2GRequest], type[V2GResponse]] = {
    declared.cls: getattr(module, declared.name.removesuffix("Req") + "Res")
    for module in (common, ac, dc, acdp, wpt)
    for declared in GLOBAL_ELEMENTS[module.__name__]
    if issubclass(declared.cls, V2GRequest)
}
"""The response class of each request class."""


def failed(request: V2GRequest, header: MessageHeader, code: ResponseCode, **fields: Any) -> V2GResponse:
    """The response to `request` with this code and fillers; `fields` replace fillers where the class has such
    a field.
    """
    response_class = RESPONSE_OF[type(request)]
    values = dict(fillers(response_class))
    known = response_class.__struct_fields__
    values.update({name: value for name, value in fields.items() if name in known})
    return response_class(**(values | {"header": header, "response_code": code}))


@cache
def fillers(cls: type[Node]) -> dict[str, Any]:
    """Values for the fields of `cls` that must be there; shared, so not to be changed."""
    hints = get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = {}
    filled_groups: set[str] = set()
    for field in msgspec.structs.fields(cls):
        group = next((item for item in _metadata(hints[field.name]) if isinstance(item, OneOf)), None)
        if group is not None and not group.optional and group.group not in filled_groups:
            filled_groups.add(group.group)
            values[field.name] = _value(hints[field.name])
        elif field.required and field.name not in ("header", "response_code"):
            values[field.name] = _value(hints[field.name])
    return values


def _metadata(hint: Any) -> tuple[Any, ...]:
    return hint.__metadata__ if get_origin(hint) is Annotated else ()


def _value(hint: Any, metadata: tuple[Any, ...] = ()) -> Any:
    """The first, least or emptiest value of a type; enumerations begin with their harmless member."""
    if get_origin(hint) is Annotated:
        return _value(get_args(hint)[0], (*metadata, *hint.__metadata__))
    if get_origin(hint) in (Union, types.UnionType):
        return _value(get_args(hint)[0], metadata)
    if get_origin(hint) is list:
        occurs = next(item for item in metadata if isinstance(item, Occurs))
        return [_value(get_args(hint)[0]) for _ in range(occurs.minimum)]
    if issubclass(hint, Enum):
        return next(iter(hint))
    if issubclass(hint, Node):
        return hint(**fillers(hint))
    facets = [item for item in metadata if isinstance(item, msgspec.Meta)]
    if hint is bytes:
        return bytes(max((facet.min_length or 1 for facet in facets), default=1))
    if hint is str:
        return "ID1" if any(isinstance(item, Xsd) and item.base == "ID" for item in metadata) else ""
    if hint is bool:
        return False
    return max([0, *(int(facet.ge) for facet in facets if facet.ge is not None)])
