"""Order of messages, timers, services and schedules, and the behaviour of SECC and EVCC; sans-I/O.

`sequence` and `timers` are tables that both roles and the trace checker read; `charger` and `vehicle` are
what a physical side implements; `secc.SECC` answers requests, the EVCC is a generator of them.
"""
