"""The messages of ISO 15118-20 as typed classes, one module per XML namespace.

`app_protocol`, `common`, `ac`, `dc`, `acdp` and `wpt` have the messages, `common_types` and `xmldsig` what
they share. Classes are the schema: EXI grammars, XSDs, the XML and JSON forms are derived from them.
"""

from ._declare import Node
from .schema_sets import SchemaSet, schema_of, schema_set_of

__all__ = ["Node", "SchemaSet", "schema_of", "schema_set_of"]
