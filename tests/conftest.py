"""For every test: hypothesis takes the same examples in each run, a busy machine fails none, and Ctrl-C
reaches the processes that tests start, even where the tests run in the background
(Ctrl-C is ignored there, by inheritance).
"""

import signal

from hypothesis import settings

settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
