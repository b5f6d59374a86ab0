"""Health checking as a library: kinds of checks, a verdict that does not flap, and a scheduler.

Knows nothing of what its verdicts are used for. The scheduler is imported from
`checkers.scheduler`; the names here cost no event loop, so that reading a configuration is quick.
"""

from checkers.base import (
    Advice,
    CheckersError,
    OptionError,
    Probe,
    ProbeError,
    Reason,
    Result,
    Target,
)
from checkers.check import Check
from checkers.health import State, Transition
from checkers.options import CheckOptions
from checkers.registry import KINDS
from checkers.timing import Timing

__all__ = [
    "KINDS",
    "Advice",
    "Check",
    "CheckOptions",
    "CheckersError",
    "OptionError",
    "Probe",
    "ProbeError",
    "Reason",
    "Result",
    "State",
    "Target",
    "Timing",
    "Transition",
]
