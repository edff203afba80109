"""For every test: hypothesis takes the same examples in each run, and a busy machine fails none."""

from hypothesis import settings

settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")
