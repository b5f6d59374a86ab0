"""One probe, now, by somebody's hand: what a scheduler does at its turn, with the transcript kept.

The problem: "is the check wrong, or the server?" is asked before a check runs anywhere. The
approach: the same probe with the same options, endpoint and timeout as a scheduler would use, and
the same bound on a probe that overruns its own deadline; no state, no rise and fall, no retry.
"""

from __future__ import annotations

import asyncio

from checkers import limits
from checkers.base import ProbeError, Result
from checkers.check import Check


async def run_once(check: Check, *, keep_transcript: bool = True) -> Result:
    """The result of one probe; raises ProbeError if it could not be made, and nothing else."""
    timeout_s = check.timing.timeout
    try:
        async with asyncio.timeout(timeout_s + limits.PROBE_OVERRUN_S):
            probe = check.make_probe()
            return await probe.probe(check.endpoint, timeout_s, keep_transcript=keep_transcript)
    except ProbeError:
        raise
    except TimeoutError as error:
        sentence = f"the probe did not keep its own deadline of {timeout_s:g} s"
        raise ProbeError(sentence) from error
    except Exception as error:  # a probe's fault must not be taken for the server's
        raise ProbeError(f"unexpected {type(error).__name__}: {error}") from error
