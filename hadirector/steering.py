"""Weights that servers ask for, or earn by answering quickly, and that do not flap. Pure.

The problem: a weight that follows every probe moves clients back and forth, costs the kernel writes
and makes servers swing: many clients, slow, few clients, quick, many clients. The
approach: what a server should have is smoothed (latency), passed over where it is hardly another
(hysteresis), and approached in bounded steps with a pause after each.

Time (seconds of one monotonic clock) comes in as an argument. Must never keep a server that asks
for no clients waiting for that, nor give one that is due clients the weight 0.
"""

from __future__ import annotations

from dataclasses import dataclass

SMOOTHING = 0.25  # what the newest latency counts in the mean: one odd answer moves it by a quarter


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """How a service's weights move. Shares are percent of the server's configured weight."""

    step: int = 20
    every: float = 5.0  # seconds between two steps
    hysteresis: int = 10
    latency: float | None = None  # seconds: up to so much there is full weight; None: not looked at
    least: int = 10  # what latency leaves a server


@dataclass(frozen=True, slots=True)
class Course:
    """Where a server's weight is, and where it is going."""

    weight: int
    target: int
    moved_at: float

    def __str__(self) -> str:
        """`weight 60`, `weight 60 on its way to 100`."""
        way = "" if self.weight == self.target else f" on its way to {self.target}"
        return f"weight {self.weight}{way}"


def differs(course: Course, wanted: int, configured: int, rules: Steering) -> bool:
    """Whether this is another target, and not only a little more or less of the same."""
    if wanted == course.target:
        return False
    if 0 in (wanted, course.target):
        return True
    return abs(wanted - course.target) * 100 >= rules.hysteresis * configured


def steered(
    course: Course | None, wanted: int, configured: int, *, rules: Steering, now: float
) -> Course:
    """The course from now on. Without one before, the server has at once what it should have."""
    if course is None:
        return Course(wanted, wanted, now)
    target = wanted if differs(course, wanted, configured, rules) else course.target
    if target == 0:
        return Course(0, 0, now)
    if course.weight == target or now - course.moved_at < rules.every:
        return Course(course.weight, target, course.moved_at)
    step = max(1, configured * rules.step // 100)
    weight = max(min(target, course.weight + step), course.weight - step)
    return Course(weight, target, now)


def moves_at(course: Course, rules: Steering) -> float | None:
    """When the next step is due; None: it is where it should be."""
    return None if course.weight == course.target else course.moved_at + rules.every


def by_latency(weight: int, mean_ms: float | None, rules: Steering) -> int:
    """What a server that answers so quickly should have of this weight."""
    if rules.latency is None or mean_ms is None or weight == 0 or mean_ms <= rules.latency * 1000:
        return weight
    share = max(rules.latency * 1000 / mean_ms, rules.least / 100)
    return max(1, round(weight * share))


class Courses:
    """The courses and mean latencies of all servers that are steered, by `server_key`."""

    def __init__(self) -> None:
        self._courses: dict[str, Course] = {}
        self._mean_ms: dict[str, float] = {}
        self._away: set[str] = set()

    def mean_ms(self, key: str) -> float | None:
        """How quickly a server answers; None before its first answer."""
        return self._mean_ms.get(key)

    def course(self, key: str) -> Course | None:
        """The course of a server; None before it was up."""
        return self._courses.get(key)

    def measure(self, key: str, latency_ms: float) -> None:
        """A probe has passed, in so many milliseconds."""
        before = self._mean_ms.get(key, latency_ms)
        self._mean_ms[key] = before + SMOOTHING * (latency_ms - before)

    def keep(self, key: str, course: Course) -> None:
        """This is its course from now on."""
        self._courses[key] = course

    def leave(self, key: str, *, held: bool) -> Course | None:
        """The server is not up; the course that it keeps if it is `held` by the brake all the same.

        What it was is kept until it is up again: the brake may hold it only a moment later.
        """
        if held:
            self._away.discard(key)
            return self._courses.get(key)
        self._away.add(key)
        return None

    def enter(self, key: str) -> None:
        """The server is up; if it was away, what it was is no measure of what it will be."""
        if key in self._away:
            self._away.discard(key)
            self._courses.pop(key, None)
            self._mean_ms.pop(key, None)

    def forget(self, key: str) -> None:
        """This server is not steered any more, or begins anew."""
        self._courses.pop(key, None)
        self._mean_ms.pop(key, None)
        self._away.discard(key)
