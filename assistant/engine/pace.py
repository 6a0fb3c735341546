"""One thread less while that is faster: a neighbour that wakes up during an answer is noticed by the time of a token."""

import statistics
from collections import deque

_TRIAL_TOKENS = 2  # how long another count of threads is tried
_FIRST_TRIAL_AFTER = 4  # tokens, to know what another count takes
_TRIAL_AFTER_CHANGE = 64  # a choice that rests on two tokens is asked again
_TRIAL_AFTER_STAY = 1024  # so that trials cost next to nothing, and a neighbour that has gone is noticed
_CLEARLY = 0.85  # one thread less must take at most this share of the time: prompts need every thread
_REMEMBERED_TOKENS = 5  # of which the middle one counts: a single late token says nothing about the threads
_SLOW = 2.0  # a token that takes this many times what the other count took ends its turn at once


class Pace:
    """Chooses up to `most` threads by the times of the last tokens, one more or one less at a time; `threads` is the choice."""

    def __init__(self, most: int, threads: int | None = None) -> None:
        self.threads = most if threads is None else threads
        self._most = most
        self._recent_s: dict[int, deque[float]] = {}
        self._tokens = 0
        self._trial_after = _FIRST_TRIAL_AFTER
        self._home: int | None = None
        """During a trial the count that it may return to."""
        self._went_up = False

    @property
    def settled(self) -> int:
        """The choice without the trial that may be going on: what work that is no token is done with."""
        return self.threads if self._home is None else self._home

    def observe(self, elapsed_s: float) -> bool:
        """Take the time of one token; True where `threads` has changed."""
        if self._most == 1:
            return False
        if not self._tokens:
            self._recent_s[self.threads] = deque(maxlen=_REMEMBERED_TOKENS)
        self._recent_s[self.threads].append(elapsed_s)
        self._tokens += 1
        chosen = self._after_trial(self._home, elapsed_s) if self._home is not None else self._after_token(elapsed_s)
        if chosen == self.threads:
            return False
        self.threads, self._tokens = chosen, 0
        return True

    def _after_trial(self, home: int, elapsed_s: float) -> int:
        """The count to go on with: this one until it was tried, or was seen to be much slower."""
        if elapsed_s <= _SLOW * self._typical_s(home) and self._tokens < _TRIAL_TOKENS:
            return self.threads
        self._home = None
        needed = _CLEARLY if self.threads < home else 1.0
        if self._typical_s(self.threads) > needed * self._typical_s(home):
            self._trial_after = _TRIAL_AFTER_STAY
            return home
        self._trial_after = _TRIAL_AFTER_CHANGE
        return self.threads

    def _after_token(self, elapsed_s: float) -> int:
        """This count, a neighbouring one that is known to be much faster, or one to try."""
        for other in (self.threads - 1, self.threads + 1):
            if other in self._recent_s and elapsed_s > _SLOW * self._typical_s(other):
                # A trial, since one late token may be an accident; it is all that is known of this count now.
                self._home = self.threads
                self._recent_s[self.threads] = deque([elapsed_s], maxlen=_REMEMBERED_TOKENS)
                return other
        if self._tokens < self._trial_after:
            return self.threads
        self._home = self.threads
        self._went_up = self.threads == 1 or (not self._went_up and self.threads < self._most)
        return self.threads + (1 if self._went_up else -1)

    def _typical_s(self, threads: int) -> float:
        return statistics.median(self._recent_s[threads])
