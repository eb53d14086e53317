"""Compares the wall clock with a monotonic one. All times are in microseconds."""

from typing import Callable, Tuple

SET_BACK = 60_000_000
# A difference below this between two readings is drift, which the era follows.
DRIFT = 1_000_000


class Era:
    """The time during which the wall clock was not set back by more than SET_BACK."""

    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset  # wall clock minus monotonic clock


class Clock:
    """Makes timestamps that never fall within an era, and tells the eras apart.

    It is not safe for concurrent use.
    """

    def __init__(self, wall: Callable[[], int], monotonic: Callable[[], int]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._era = Era(wall() - monotonic())
        self._last = 0

    def stamp(self) -> Tuple[int, Era]:
        """Returns the timestamp of an event that is made now, and its era."""
        wall = self._wall()
        era = self._era_of(wall - self._monotonic())
        self._last = wall if wall >= self._last else self._last + 1
        return self._last, era

    def sent_at(self, era: Era) -> int:
        """Returns what the clock of the era shows now."""
        wall = self._wall()
        monotonic = self._monotonic()
        if era is self._era_of(wall - monotonic):
            return wall
        return monotonic + era.offset

    def _era_of(self, offset: int) -> Era:
        back = self._era.offset - offset
        if back > SET_BACK:
            self._era = Era(offset)
            self._last = 0
        elif back < DRIFT:  # a jump forward is taken for sleep
            self._era.offset = offset
        return self._era
