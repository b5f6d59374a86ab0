"""Every drill by name, in the order of `hadirector drill list`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hadirector.drill.live import ROLE_DRILLS, Drill
from hadirector.drill.live_faults import FAULT_DRILLS
from hadirector.drill.live_file import FILE_DRILLS

DRILLS: Mapping[str, Drill] = MappingProxyType({**ROLE_DRILLS, **FAULT_DRILLS, **FILE_DRILLS})
"""By name."""
