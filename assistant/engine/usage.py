"""What one answer cost, as the API reports it."""

from dataclasses import dataclass

from device.attribution import Spent


@dataclass(frozen=True)
class Usage:
    """Counts and times of one answer. Times are monotonic seconds; None where nothing was measured.

    `first_token_s` runs from the start of the prompt's processing to the first token, without loading the model.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    load_s: float | None = None
    queued_s: float | None = None
    first_token_s: float | None = None
    decode_s: float | None = None
    finish_reason: str | None = None
    spent: Spent | None = None

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """Speed of reading the part of the prompt that was not in the cache."""
        read = self.prompt_tokens - self.cached_tokens
        return read / self.first_token_s if self.first_token_s else None

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Speed of writing, over the tokens after the first."""
        return (self.completion_tokens - 1) / self.decode_s if self.decode_s and self.completion_tokens > 1 else None

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


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
