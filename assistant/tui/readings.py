"""What the status line says: figures with their units, and plainly where there is none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len, set_cell_size

from assistant.client.fields import figure
from assistant.plaintext import plain_line

NOT_MEASURED = "W not measured"


@dataclass(frozen=True)
class Readings:
    """The latest of each; None where nothing is known yet."""

    model: str = ""
    tokens_per_s: float | None = None
    is_estimate: bool = False
    """Whether that was counted here, of an answer that is being written, and not measured by the server."""
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
            tokens_per_s=figure(told.get("decode_tokens_per_s")),
            is_estimate=False,
            first_token_s=figure(told.get("time_to_first_token_s")),
            context_tokens=usage.get("total_tokens") or self.context_tokens,
            tokens_per_joule=figure(told.get("tokens_per_joule")),
            power_w=figure(told.get("watts")) or self.power_w,
        )

    def asking(self) -> "Readings":
        """Before an answer: the speed of the former is not its own."""
        return replace(self, tokens_per_s=None, is_estimate=False, first_token_s=None, tokens_per_joule=None)

    def writing(self, tokens_per_s: float) -> "Readings":
        """While an answer is written."""
        return replace(self, tokens_per_s=tokens_per_s, is_estimate=True)

    def of_conversation(self, usage: Mapping[str, Any] | None) -> "Readings":
        """In a conversation whose last answer used so much; its figures of speed are those of another time."""
        return replace(self.asking(), context_tokens=usage.get("total_tokens") if usage else None)

    def with_device(self, event: object) -> "Readings":
        """After an event of the device. What is none is passed over: an answer can do without."""
        if not isinstance(event, Mapping):
            return self
        found = self
        if "power_w" in event:
            found = replace(found, power_w=figure(event["power_w"]), scope=plain_line(str(event.get("scope") or "")))
        if temperatures := event.get("temperatures_c"):
            told = temperatures.values() if isinstance(temperatures, Mapping) else ()
            known = [each for each in map(figure, told) if each is not None]
            found = replace(found, temperature_c=max(known, default=None))
        if isinstance(throttling := event.get("throttling"), Mapping):
            found = replace(found, throttled=_throttled(throttling))
        return found


def _throttled(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Why the board is slowed down now. Counters since boot say nothing about now."""
    flags = told.get("flags")
    now = flags.get("now") if isinstance(flags, Mapping) else None
    named = [plain_line(str(flag)).replace("_", " ") for flag in now] if isinstance(now, list) else []
    if told.get("supply_too_low") and "under voltage" not in named:
        named.append("supply too low")
    return tuple(named)


def clipped(text: str, width: int) -> str:
    """A line that is cut, and says so, where it is too long."""
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(width - 1, 0))}…"


def status_text(readings: Readings, width: int) -> str:
    """Throttling before everything; what does not fit is said shorter, then left out, the least important first."""
    parts = _parts(readings)
    for name, short in _shorter(readings, width):
        if cell_len(_line(parts)) > width and name in parts:
            parts[name] = short
    for name in _LEFT_OUT:
        if cell_len(_line(parts)) > width:
            parts.pop(name, None)
    return _line(parts)


_LEFT_OUT = ("first", "tok/s/W", "temperature", "power", "ctx", "tok/s", "model")


def _line(parts: Mapping[str, str]) -> str:
    return " · ".join(parts.values())


def _parts(readings: Readings) -> dict[str, str]:
    used, most, speed = readings.context_tokens, readings.most_tokens, readings.tokens_per_s
    power = NOT_MEASURED if readings.power_w is None else f"{readings.power_w:.1f} W"
    about = f"≈ {speed:.0f} tok/s" if speed is not None and readings.is_estimate else ""
    parts = {
        "throttled": f"! slowed down: {', '.join(readings.throttled)}" if readings.throttled else "",
        "model": plain_line(readings.model),
        "tok/s": "" if speed is None else about or f"{speed:.1f} tok/s",
        "first": "" if readings.first_token_s is None else f"first {readings.first_token_s:.2f} s",
        "ctx": f"ctx {used or 0:,}/{most:,}" if most else "",
        "power": power if not readings.scope or readings.power_w is None else f"{power} ({readings.scope})",
        "tok/s/W": "" if readings.tokens_per_joule is None else f"{readings.tokens_per_joule:.2f} tok/s/W",
        "temperature": "" if readings.temperature_c is None else f"{readings.temperature_c:.0f} °C",
    }
    return {name: part for name, part in parts.items() if part}


def _shorter(readings: Readings, width: int) -> Iterator[tuple[str, str]]:
    """What can be said in fewer words, in the order in which it is."""
    if readings.power_w is not None:
        yield "power", f"{readings.power_w:.1f} W"
    yield "model", clipped(plain_line(readings.model), max(width // 4, 10))
    if readings.most_tokens:
        yield "ctx", f"ctx {(readings.context_tokens or 0) / readings.most_tokens:.0%}"
    yield "throttled", "! slowed down"
