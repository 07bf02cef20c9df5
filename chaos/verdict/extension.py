"""Which objectives more load could still decide, and the price of looking at them more than once.

Who looks at growing data until he likes what he sees errs more often than each look does. With `phases.extend` an
objective of the recovery phase or of the run may be looked at four times (`LOOKS`), and whenever that ends, the verdict
rests on one of the four; so each of its bounds is one of 1 - 5 % / 4, and by Bonferroni's inequality a bound that
fails a good stack, or proves a bad one, is met with 5 % over all looks at the most. The number of looks follows from
the plan, so the same record is judged in the same way whether or not, and however often, the load did go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.verdict import slo
from chaos.verdict.flows import measure

if TYPE_CHECKING:
    from chaos.model.experiment import Threshold
    from chaos.verdict.history import History
    from chaos.verdict.rules import Checks


def looks(checks: Checks, rule: Threshold) -> int:
    """How often this rule may have been looked at."""
    return checks.phases.looks(rule.phase) if checks.phases is not None else 1


def still_open(history: History, checks: Checks) -> tuple[str, ...]:
    """The objectives of recovery and run that more samples may decide, each with what is missing; pure."""
    rules = [rule for rule in checks.thresholds if looks(checks, rule) > 1 and slo.is_objective(rule.metric)]
    if not rules:
        return ()
    units = measure(history, checks.bounds)
    judged = [(rule, slo.judge_threshold(rule, units, checks.assurance, looks(checks, rule))) for rule in rules]
    return tuple(
        f"{rule.text} ({rule.phase}): {'; '.join(result.reasons)}"
        for rule, result in judged
        if slo.can_be_decided(rule, result, checks.assurance)
    )
