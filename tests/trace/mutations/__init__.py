"""For each rule that the judge knows, a recording spoiled so that this rule fires."""

from . import energy, setup
from .table import CASES, ac_base, dc_base, pnc_base, wpt_base

__all__ = ["CASES", "ac_base", "dc_base", "energy", "pnc_base", "setup", "wpt_base"]
