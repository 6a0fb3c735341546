"""What the answers of one request cost, as the API reports it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assistant.engine.request import Finished
from device.attribution import Spent


@dataclass(frozen=True)
class Usage:
    """Counts and times of a request's answers. Times are monotonic seconds; None where nothing was measured.

    `prompt_tokens` and `cached_tokens` count each prompt once, however many answers it has; the other counts are sums over
    all answers. `prompt_s` and `decode_s` are the time in which any prompt was read and any answer written after its first
    token: what ran at once counts once. `first_token_s` runs from the start of the first prompt's processing to the first
    token of any answer, without loading the model, and `queued_s` from submission to that start.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    read_tokens: int = 0
    """Prompt tokens that were computed in `prompt_s`, for each answer that needed them."""
    decode_tokens: int = 0
    """Tokens written in `decode_s`: all but the first of each answer; none of one that ends where it begins."""
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    load_s: float | None = None
    queued_s: float | None = None
    prompt_s: float | None = None
    first_token_s: float | None = None
    decode_s: float | None = None
    finish_reason: str | None = None
    spent: Spent | None = None

    @classmethod
    def of(
        cls, ended: Sequence[Finished], *, answers_per_prompt: int, load_s: float | None, spent: Spent | None
    ) -> "Usage":
        """That of all answers, which stand in the order of their prompts."""
        prompts = ended[::answers_per_prompt]
        begun = [(each.started_at, each) for each in ended if each.started_at is not None]
        read = [(at, at + each.prompt_s, each) for at, each in begun if each.prompt_s is not None]
        written = [
            (at + each.first_token_s, at + each.first_token_s + each.decode_s, each)
            for at, each in begun
            if each.first_token_s is not None and each.decode_s is not None
        ]
        start, first = min(begun, key=lambda pair: pair[0], default=(0.0, ended[0]))
        reasons = {each.reason for each in ended}
        return cls(
            prompt_tokens=sum(each.prompt_tokens for each in prompts),
            completion_tokens=sum(each.completion_tokens for each in ended),
            cached_tokens=sum(each.cached_tokens for each in prompts),
            read_tokens=sum(each.prompt_tokens - each.cached_tokens for *_, each in read),
            decode_tokens=sum(max(each.completion_tokens - 1, 0) for *_, each in written),
            drafted_tokens=sum(each.drafted_tokens for each in ended),
            accepted_tokens=sum(each.accepted_tokens for each in ended),
            load_s=load_s,
            queued_s=first.queued_s,
            prompt_s=_covered_s((start_s, end_s) for start_s, end_s, _ in read),
            first_token_s=min(start_s for start_s, *_ in written) - start if written else None,
            decode_s=_covered_s((start_s, end_s) for start_s, end_s, _ in written),
            finish_reason=reasons.pop() if len(reasons) == 1 else None,
            spent=spent,
        )

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """Speed of reading what was not in the cache."""
        return self.read_tokens / self.prompt_s if self.prompt_s else None

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Speed of writing, over the tokens after the first of each answer."""
        return self.decode_tokens / self.decode_s if self.decode_s and self.decode_tokens else None

    def as_json(self) -> dict[str, object]:
        """OpenAI's counts, and ours under `bedside`; null, never 0, where nothing was measured."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "bedside": {
                "prompt_tokens_per_s": _rounded(self.prompt_tokens_per_s),
                "decode_tokens_per_s": _rounded(self.decode_tokens_per_s),
                "time_to_first_token_s": _rounded(self.first_token_s),
                "load_s": _rounded(self.load_s),
                "queued_s": _rounded(self.queued_s),
                "cached_tokens": self.cached_tokens,
                "drafted_tokens": self.drafted_tokens,
                "accepted_tokens": self.accepted_tokens,
                "finish_reason": self.finish_reason,
                **self._energy(),
            },
        }

    def _energy(self) -> dict[str, object]:
        """Gross joules of prompt and answer, and what they were measured with."""
        if self.spent is None:
            return dict.fromkeys(("joules", "watts", "tokens_per_joule", "sensor", "scope", "kind"))
        joules, meter = self.spent.joules, self.spent.meter
        return {
            "joules": _rounded(joules),
            "watts": _rounded(self.spent.watts),
            "tokens_per_joule": _rounded(self.completion_tokens / joules),
            "sensor": meter.source,
            "scope": meter.scope,
            "kind": meter.kind,
        }


def _covered_s(spans: Iterable[tuple[float, float]]) -> float | None:
    """Seconds that lie in any span; None where there is none."""
    covered, until = None, float("-inf")
    for start_s, end_s in sorted(spans):
        covered = (covered or 0.0) + max(0.0, end_s - max(start_s, until))
        until = max(until, end_s)
    return covered


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
