"""What one answer cost: joules gross and net of idling, watts while answering, tokens per joule."""

from dataclasses import dataclass

from device.energy import ValidityRecord, Window, WindowEnergy, window_energy
from device.figures import Figure
from device.reading import Meter
from device.systematic import systematic_difference_w, systematic_w
from device.trace import Trace

MAX_DRIFT = 0.05
_TAIL_INTERVALS = 6  # of a low-pass: what is then still to come is 0.25 % of its lag
_MARGIN_PERIODS = 1.5  # a sample beyond each edge: within it alone a step up counts as a slope and is half lost


@dataclass(frozen=True)
class AnswerFigures:
    """The figures of one valid answer. Gross is all that was drawn while answering, net what idling would not have drawn."""

    idle_w: Figure
    inference_w: Figure
    """Gross joules over the time that the answer took: a filtered sensor's samples are not averaged."""
    peak_w: Figure
    """As the sensor shows it: see `filter_note`."""
    gross_j: Figure
    net_j: Figure
    joules_per_token: Figure
    tokens_per_joule: Figure
    """Equal to tokens per second per watt."""
    net_tokens_per_joule: Figure


@dataclass(frozen=True)
class AnswerEnergy:
    """One answer, measured; without figures where the record says why not."""

    meter: Meter
    validity: ValidityRecord
    duration_s: float
    tokens: int
    idle_before_w: float | None
    idle_after_w: float | None
    figures: AnswerFigures | None


def tail_s(meter: Meter) -> float:
    """How long a meter has to be sampled after an answer until it no longer shows it."""
    filtered_s = 0.0 if meter.filter is None else max(meter.filter.update_interval_s, meter.filter.time_constant_s)
    return max(_TAIL_INTERVALS * filtered_s, _lead_s(meter))


def _lead_s(meter: Meter) -> float:
    return _MARGIN_PERIODS * meter.period_s


def filter_note(meter: Meter) -> str | None:
    """What to print beside a peak: the sensor does not show shorter ones in full."""
    return None if meter.filter is None else f"{meter.filter.time_constant_s:.2f} s low-pass"


def answer_energy(trace: Trace, answer: Window, tokens: int, before: Window, after: Window) -> AnswerEnergy:
    """What an answer of so many tokens cost, between two windows in which the machine idled, ready to answer.

    The idle power beneath the answer lies on the line between the two. Net energy is taken from a little before the
    answer to the end of the meter's tail, so that what an unfiltered sensor errs at either edge (0.3 of a period of the
    rise in power) averages out over answers. So no other work may reach into these.

    Raises:
        ValueError: there is no token, or the idle windows overlap the answer or the meter's tail after it.
    """
    whole = Window(answer.start_s - _lead_s(trace.meter), answer.end_s + tail_s(trace.meter))
    if tokens < 1:
        raise ValueError("an answer has at least one token")
    if before.end_s > answer.start_s or after.start_s < whole.end_s:
        raise ValueError("the machine idles before the answer, and after what the meter shows of it")
    drawn, idle = window_energy(trace, whole), (window_energy(trace, before), window_energy(trace, after))
    validity = drawn.validity.with_reasons(*_idle_reasons(*idle))
    figures = None
    if drawn.energy_j is not None and drawn.peak_w is not None and validity.is_valid:
        idle_w = _between(idle[0], idle[1], whole.middle_s)
        net_j = drawn.energy_j - idle_w * whole.duration_s
        if net_j > 0:
            duration_s, peak_w = answer.duration_s, drawn.peak_w
            figures = _figures(
                trace.meter, duration_s=duration_s, tokens=tokens, idle_w=idle_w, net_j=net_j, peak_w=peak_w
            )
        else:
            validity = validity.with_reasons("no more was drawn than by idling")
    return AnswerEnergy(trace.meter, validity, answer.duration_s, tokens, idle[0].mean_w, idle[1].mean_w, figures)


def _idle_reasons(before: WindowEnergy, after: WindowEnergy) -> list[str]:
    """What is wrong with the two idle windows, each and together."""
    reasons = [f"idle before: {reason}" for reason in before.validity.reasons]
    reasons += [f"idle after: {reason}" for reason in after.validity.reasons]
    if before.mean_w is None or after.mean_w is None:
        return reasons
    if before.mean_w <= 0 or after.mean_w <= 0:
        return [*reasons, f"idle power is not above zero ({before.mean_w:.3g} W, {after.mean_w:.3g} W)"]
    drift = abs(after.mean_w - before.mean_w) / before.mean_w
    if drift > MAX_DRIFT:
        shown = f"from {before.mean_w:.3f} W to {after.mean_w:.3f} W, {drift:.1%}"
        reasons.append(f"idle power drifted {shown}, more than {MAX_DRIFT:.0%}")
    return reasons


def _between(before: WindowEnergy, after: WindowEnergy, time_s: float) -> float:
    """Idle power at a time between two valid idle windows, on the line through their middles."""
    assert before.mean_w is not None
    assert after.mean_w is not None
    share = (time_s - before.window.middle_s) / (after.window.middle_s - before.window.middle_s)
    return before.mean_w + share * (after.mean_w - before.mean_w)


def _figures(
    meter: Meter, *, duration_s: float, tokens: int, idle_w: float, net_j: float, peak_w: float
) -> AnswerFigures:
    gross_j = net_j + idle_w * duration_s
    inference_w, net_w = gross_j / duration_s, net_j / duration_s
    gross_off_w = systematic_w(meter, inference_w)
    net_off_w = systematic_difference_w(meter, inference_w, idle_w)

    def figure(value: float, unit: str, off_w: float | None, of_w: float) -> Figure:
        """`value` is as far off, as a share of itself, as the watts behind it."""
        return Figure(value, unit, meter, None if off_w is None else abs(value) * off_w / of_w)

    return AnswerFigures(
        idle_w=Figure(idle_w, "W", meter, systematic_w(meter, idle_w)),
        inference_w=Figure(inference_w, "W", meter, gross_off_w),
        peak_w=Figure(peak_w, "W", meter, systematic_w(meter, peak_w)),
        gross_j=figure(gross_j, "J", gross_off_w, inference_w),
        net_j=figure(net_j, "J", net_off_w, net_w),
        joules_per_token=figure(gross_j / tokens, "J/tok", gross_off_w, inference_w),
        tokens_per_joule=figure(tokens / gross_j, "tok/J", gross_off_w, inference_w),
        net_tokens_per_joule=figure(tokens / net_j, "tok/J", net_off_w, net_w),
    )
