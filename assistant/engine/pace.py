"""One thread less while that is faster: a neighbour that wakes up during an answer is noticed by the time of a token."""

_TRIAL_TOKENS = 2  # how long the other count of threads is tried
_FIRST_TRIAL_AFTER = 4  # tokens; later trials come after 64, 128, ... so that they cost next to nothing
_NEXT_TRIAL_AFTER = 64
_SLOW = 2.0  # a token that takes this many times what the other count took ends its turn at once


class Pace:
    """Chooses between all threads and one less by the times of the last tokens; `threads` is the choice."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._other = max(1, threads - 1)
        self._recent_s: dict[int, float] = {}
        self._tokens = 0
        self._trial_after = _FIRST_TRIAL_AFTER
        self._on_trial = False

    def observe(self, elapsed_s: float) -> bool:
        """Take the time of one token; True where `threads` has changed."""
        if self._other == self.threads:
            return False
        before = self._recent_s.get(self.threads, elapsed_s)
        self._recent_s[self.threads] = elapsed_s if not self._tokens else (before + elapsed_s) / 2
        self._tokens += 1
        if not self._is_over(elapsed_s):
            return False
        self._on_trial = not self._on_trial and self._tokens >= self._trial_after
        if self._on_trial:
            self._trial_after = max(_NEXT_TRIAL_AFTER, self._trial_after * 2)
        self.threads, self._other = self._other, self.threads
        self._tokens = 0
        return True

    def _is_over(self, elapsed_s: float) -> bool:
        """Whether the other count shall have its turn: it is due for a trial, or known to be faster."""
        other_s = self._recent_s.get(self._other)
        if other_s is not None and elapsed_s > _SLOW * other_s:
            return True
        if self._on_trial:
            if self._tokens < _TRIAL_TOKENS:
                return False
            self._on_trial = False
            return other_s is not None and self._recent_s[self.threads] > other_s
        return self._tokens >= self._trial_after
