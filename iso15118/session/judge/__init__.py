"""Judges recorded sessions by the sequence table, the timer table and the rules on fields.

    judge = Judge(findings.append)
    for observed in recording:
        judge.frame(observed)
    outcome = judge.end()

The rules are data (`RULES`), each with severity, requirement and text. The judge does no I/O and keeps no
finding.
"""

from .engine import Judge, Outcome
from .model import RULES, Finding, LinkFacts, Observed, Rule

__all__ = ["RULES", "Finding", "Judge", "LinkFacts", "Observed", "Outcome", "Rule"]
