"""From what was measured to figures: the row of the paper's table II, and the lines below it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from device.answer import AnswerEnergy, AnswerFigures, answer_energy
from device.bench.series import Answer, PhaseName, Series
from device.bench.settings import IDLE_S, MIN_ANSWERS, Settings
from device.bench.statistic import Statistic, of_figures, of_values
from device.energy import window_energy
from device.figures import Figure
from device.systematic import systematic_w

_NO_IDLE = "there was no idle phase before and after the answers"


@dataclass(frozen=True)
class Row:
    """Table II: Model, idle W, inference W, tokens/s, tok/s/W. None is "not measured".

    tokens/s are those of the answers whose power was measured, over all of their time; so tok/s/W are tokens per joule.
    """

    idle_w: Statistic | None
    inference_w: Statistic | None
    tokens_per_s: Statistic | None
    tokens_per_joule: Statistic | None


@dataclass(frozen=True)
class Table:
    """All figures of a series, by name; those that were not measured are None."""

    row: Row
    figures: dict[str, Statistic | None]
    energies: tuple[AnswerEnergy | None, ...]
    """Of each answer of the series in order; None where it was not sampled, or has no idle phase on both sides."""
    flags: tuple[str, ...]
    """What speaks against the figures."""


def tabulate(series: Series, settings: Settings) -> Table:
    """Everything that a series says."""
    energies = tuple(_energy(series, answer) for answer in series.answers)
    valid = [energy.figures for energy in energies if energy is not None and energy.figures is not None]
    figures = {
        **_timings(series.measured),
        "board_idle_w": _idle(series, "board idle"),
        "idle_w": _idle(series, "idle before", "idle after"),
        **_powers(valid, energies),
        "sampling_cost_share": sampling_cost(series.answers),
    }
    row = Row(figures["idle_w"], figures["inference_w"], figures["tokens_per_s"], figures["tokens_per_joule"])
    return Table(row, figures, energies, tuple(_flags(series, settings, energies)))


def _energy(series: Series, answer: Answer) -> AnswerEnergy | None:
    before, after = series.window("idle before"), series.window("idle after")
    if series.trace is None or not answer.sampled or before is None or after is None:
        return None
    return answer_energy(series.trace, answer.window, answer.tokens, before, after)


def _timings(answers: Sequence[Answer]) -> dict[str, Statistic | None]:
    """Answers that the meter was read in, all where there is none."""
    decode = [answer.decode_tokens_per_s for answer in answers]
    return {
        "answer_s": of_values("s", [answer.answer_s for answer in answers]),
        "ttft_s": of_values("s", [answer.times.prompt_s for answer in answers]),
        "prompt_tokens_per_s": of_values("tok/s", [answer.prompt_tokens_per_s for answer in answers]),
        "decode_tokens_per_s": of_values("tok/s", [rate for rate in decode if rate is not None]),
        "tokens_per_s": of_values("tok/s", [answer.tokens_per_s for answer in answers]),
    }


def _idle(series: Series, *names: PhaseName) -> Statistic | None:
    """Mean watts of idle phases, those in which the meter saw enough: known though no answer has energy."""
    trace, windows = series.trace, [window for name in names if (window := series.window(name)) is not None]
    if trace is None:
        return None
    means = [mean_w for window in windows if (mean_w := window_energy(trace, window).mean_w) is not None]
    return of_figures([Figure(mean_w, "W", trace.meter, systematic_w(trace.meter, mean_w)) for mean_w in means])


_POWERS: dict[str, Callable[[AnswerFigures], Figure]] = {
    "inference_w": lambda each: each.inference_w,
    "peak_w": lambda each: each.peak_w,
    "gross_j": lambda each: each.gross_j,
    "net_j": lambda each: each.net_j,
    "joules_per_token": lambda each: each.joules_per_token,
    "tokens_per_joule": lambda each: each.tokens_per_joule,
    "net_tokens_per_joule": lambda each: each.net_tokens_per_joule,
}


def _powers(valid: Sequence[AnswerFigures], energies: Sequence[AnswerEnergy | None]) -> dict[str, Statistic | None]:
    """Of the valid answers."""
    found = {name: of_figures([figure(each) for each in valid]) for name, figure in _POWERS.items()}
    found["net_joules_per_token"] = of_figures(
        [_net_per_token(energy, energy.figures) for energy in energies if energy is not None and energy.figures]
    )
    return found


def _net_per_token(energy: AnswerEnergy, figures: AnswerFigures) -> Figure:
    net, tokens = figures.net_j, energy.tokens
    off = None if net.systematic is None else net.systematic / tokens
    return Figure(net.value / tokens, "J/tok", net.meter, off)


def sampling_cost(answers: Sequence[Answer]) -> Statistic | None:
    """By how much of their tokens/s answers were slower for being sampled, over pairs of neighbours; below 0, faster.

    The two of a pair change places from pair to pair, so that what drifts over the series cancels.
    """
    shares = []
    for first, second in zip(answers[::2], answers[1::2], strict=False):
        if first.sampled != second.sampled and first.tokens == second.tokens:
            sampled, plain = (first, second) if first.sampled else (second, first)
            shares.append(1 - sampled.tokens_per_s / plain.tokens_per_s)
    return of_values("share", shares)


def _flags(series: Series, settings: Settings, energies: Sequence[AnswerEnergy | None]) -> list[str]:
    """Too little, cut short, or refused by the rules of measuring."""
    flags = [] if not series.interrupted else ["interrupted: only what was measured before is here"]
    measured = series.measured
    if len(measured) < MIN_ANSWERS:
        flags.append(f"only {len(measured)} of the {MIN_ANSWERS} answers or more that a median needs")
    if sum(answer.answer_s for answer in measured) < settings.least_s and not settings.natural:
        flags.append(f"all answers together took less than {settings.least_s:g} s")
    if series.trace is not None and series.trace.ended:
        flags.append(f"the series ended with its meter: {series.trace.ended}")
    if series.trace is not None and settings.idle_s < IDLE_S:
        flags.append(f"idle of {settings.idle_s:g} s, not {IDLE_S:g}")
    if series.trace is not None and series.answers and not any(energies):
        flags.append(f"no energy: {_NO_IDLE}")
    refused: dict[str, int] = {}
    for energy in energies:
        for reason in energy.validity.reasons if energy is not None else ():
            refused[reason] = refused.get(reason, 0) + 1
    return flags + [f"{count} of {len(measured)} answers without energy: {reason}" for reason, count in refused.items()]


def idle_drift(energies: Sequence[AnswerEnergy | None]) -> float | None:
    """By what share idle power changed from before to after the answers."""
    for energy in energies:
        if energy is not None and energy.idle_before_w and energy.idle_after_w is not None:
            return energy.idle_after_w / energy.idle_before_w - 1
    return None
