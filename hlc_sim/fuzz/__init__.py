"""Fuzzing of SECC and EVCC.

A case is a walk along a correct session to some point, and what is sent there instead of the next message.
`cases` makes them from (seed, index), so a campaign is a range of independent work units; `inprocess` runs
them on our own SECC and EVCC without I/O, `device` on one named device; `campaign` keeps all in one SQLite
file; `minimise` shrinks what was found and `saved` writes it as a scenario file. Below the messages a case is
a volley of octets (`octets`), for SDP, SLAC and TLS in the modules `layer_*`, and is played as a scenario: on
our own devices, or on a named one (`lower`).
"""
