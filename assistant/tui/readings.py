"""What the status line says: figures with their units, and plainly where there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len

from assistant.plaintext import plain_line

NOT_MEASURED = "W not measured"


@dataclass(frozen=True)
class Readings:
    """The latest of each; None where nothing is known yet."""

    model: str = ""
    tokens_per_s: float | None = None
    first_token_s: float | None = None
    context_tokens: int | None = None
    most_tokens: int | None = None
    power_w: float | None = None
    scope: str = ""
    tokens_per_joule: float | None = None
    temperature_c: float | None = None
    throttled: tuple[str, ...] = ()

    def with_usage(self, model: str, usage: Mapping[str, Any]) -> "Readings":
        """After an answer."""
        told = usage.get("bedside", {})
        return replace(
            self,
            model=model,
            tokens_per_s=told.get("decode_tokens_per_s"),
            first_token_s=told.get("time_to_first_token_s"),
            context_tokens=usage.get("total_tokens") or self.context_tokens,
            tokens_per_joule=told.get("tokens_per_joule"),
            power_w=told.get("watts") or self.power_w,
        )

    def of_conversation(self, usage: Mapping[str, Any] | None) -> "Readings":
        """In a conversation whose last answer used so much; its figures of speed are those of another time."""
        used = usage.get("total_tokens") if usage else None
        return replace(self, tokens_per_s=None, first_token_s=None, tokens_per_joule=None, context_tokens=used)

    def with_device(self, event: Mapping[str, Any]) -> "Readings":
        """After an event of the device."""
        found = self
        if "power_w" in event:
            found = replace(found, power_w=event["power_w"], scope=str(event.get("scope") or ""))
        if temperatures := event.get("temperatures_c"):
            found = replace(found, temperature_c=max(temperatures.values()))
        if (throttling := event.get("throttling")) is not None:
            found = replace(found, throttled=_throttled(throttling))
        return found


def _throttled(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Why the board is slowed down now. Counters since boot say nothing about now."""
    named = [str(flag).replace("_", " ") for flag in (told.get("flags") or {}).get("now", ())]
    if told.get("supply_too_low") and "under voltage" not in named:
        named.append("supply too low")
    return tuple(named)


def status_text(readings: Readings, width: int) -> str:
    """As many figures as fit, the most important first; throttling before everything."""
    parts = [part for part in _parts(readings) if part]
    text = ""
    for part in parts:
        longer = f"{text} · {part}" if text else part
        if cell_len(longer) > width:
            break
        text = longer
    return text


def _parts(readings: Readings) -> list[str]:
    used, most = readings.context_tokens, readings.most_tokens
    context = f"ctx {used or 0:,}/{most:,}" if most else ""
    power = NOT_MEASURED if readings.power_w is None else f"{readings.power_w:.1f} W"
    per_w = "" if readings.tokens_per_joule is None else f"{readings.tokens_per_joule:.2f} tok/s/W"
    return [
        f"! slowed down: {', '.join(readings.throttled)}" if readings.throttled else "",
        plain_line(readings.model),
        "" if readings.tokens_per_s is None else f"{readings.tokens_per_s:.1f} tok/s",
        "" if readings.first_token_s is None else f"first {readings.first_token_s:.2f} s",
        context,
        power if not readings.scope or readings.power_w is None else f"{power} ({readings.scope})",
        per_w,
        "" if readings.temperature_c is None else f"{readings.temperature_c:.0f} °C",
    ]
