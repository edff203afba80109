"""Numbers that the compiler of grammars and the kernel agree on."""

from typing import Final

MAX_DEPTH: Final = 48
"""Elements nested deeper are refused; the deepest useful message has 12 levels."""
MAX_INTEGER_OCTETS: Final = 24
"""Groups of seven bits beyond the first eight: 224 bits, more than a certificate's serial number has (160).
Ranges are not checked in decoding, but what is decoded must stay fit for calculating: a float holds 1024
bits.
"""

HEADER: Final = 0x80
"""EXI header of all ISO 15118 streams: distinguishing bits 10, no options, final version 1 [V2G2-099]."""

# How a simple value is coded (W3C EXI 1.0, 7.1).
TABLE: Final = 0
"""Booleans, enumerations and integers of at most 4096 values: an n-bit number."""
UNSIGNED: Final = 1
INTEGER: Final = 2
STRING: Final = 3
BINARY: Final = 4

# What a production does.
END: Final = 0
ATTRIBUTE: Final = 1
SIMPLE_ELEMENT: Final = 2
COMPLEX_ELEMENT: Final = 3
ANY_ELEMENT: Final = 4
TYPED_TEXT: Final = 5
MIXED_TEXT: Final = 6
