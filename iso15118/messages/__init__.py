"""The messages of ISO 15118-20 as typed classes, one module per XML namespace.

`app_protocol`, `common`, `ac`, `dc`, `acdp` and `wpt` have the messages, `common_types` and `xmldsig` what
they share. Classes are the schema: EXI grammars, XSDs, the XML and JSON forms are derived from them.
"""

from typing import TYPE_CHECKING

from ..lazy import exports
from .declare import Node
from .schema_sets import SchemaSet, schema_of, schema_set_of

if TYPE_CHECKING:
    from .validation import Violation, validate

__all__ = ["Node", "SchemaSet", "Violation", "schema_of", "schema_set_of", "validate"]

__getattr__, __dir__ = exports(__name__, {".validation": ("Violation", "validate")})
