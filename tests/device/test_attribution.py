"""Whose energy it was: shares sum to what was drawn, and what is not known is not a smaller number."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.attribution import _MOST_PENDING, Account, Attribution, shortest_s, spent
from device.reading import Meter, Reading
from tests.device.meters import INA3221, PLAIN, PMIC, Clock, jittered

QUICK = replace(PLAIN, period_s=0.001)
"""Follows whatever takes 10 ms."""


def run_step(attribution: Attribution, clock: Clock, took_s: float, *rows: tuple[Account | None, int]) -> None:
    step = attribution.begin(rows)
    clock.now_s += took_s
    attribution.end(step)


def sample(attribution: Attribution, times_s: Sequence[float], power_w: float = 6.0) -> None:
    for time_s in times_s:
        attribution.add_sample(time_s, Reading(power_w))


def metered(meter: Meter = QUICK) -> tuple[Attribution, Clock]:
    clock = Clock(now_s=0.0)
    return Attribution(meter, clock), clock


STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 0.3),  # nothing runs before it
        st.floats(0.001, 0.4),
        st.lists(st.integers(1, 64), min_size=3, max_size=3),
        st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
    ),
    min_size=1,
    max_size=30,
)


@given(STEPS)
def test_the_shares_sum_to_the_energy_over_the_steps(
    steps: list[tuple[float, float, list[int], list[bool]]],
) -> None:
    """Power is a + b t, so that a step from s to e takes exactly a (e - s) + b (e² - s²) / 2."""
    attribution, clock = metered()
    accounts, expected_j, most = [attribution.open_account() for _ in range(3)], 0.0, 3.0
    samples = iter(jittered(-0.1, 25.0, 0.1).tolist())
    for pause_s, took_s, rows, taking_part in steps:
        clock.now_s += pause_s
        start_s = clock.now_s
        shares = [(accounts[place], rows[place]) for place in range(3) if taking_part[place]]
        run_step(attribution, clock, took_s, *shares)
        expected_j += most * took_s + 0.5 * (clock.now_s**2 - start_s**2) / 2
        while (time_s := next(samples)) < clock.now_s:  # as they come, a little behind the steps
            attribution.add_sample(time_s, Reading(most + 0.5 * time_s))
        attribution.add_sample(time_s, Reading(most + 0.5 * time_s))
    assert attribution.totals().joules == pytest.approx(expected_j)
    assert sum(account.joules for account in accounts) == pytest.approx(expected_j)
    assert all(account.is_settled for account in accounts)


def test_a_step_is_shared_by_rows_and_padding_falls_on_all_alike() -> None:
    attribution, clock = metered()
    one, other = attribution.open_account(), attribution.open_account()
    attribution.add_sample(0.0, Reading(6.0))
    run_step(attribution, clock, 0.5, (one, 1), (other, 2))  # a fourth row, for nobody, is not told
    attribution.add_sample(0.6, Reading(6.0))
    assert [one.joules, other.joules] == pytest.approx([1.0, 2.0])
    found = spent([one])
    assert found is not None
    assert found.meter is QUICK
    assert [found.joules, found.watts] == pytest.approx([1.0, 6.0])


def test_time_between_steps_is_nobodys() -> None:
    attribution, clock = metered()
    account = attribution.open_account()
    attribution.add_sample(0.0, Reading(6.0))
    run_step(attribution, clock, 0.1, (account, 1))
    clock.now_s += 0.5
    run_step(attribution, clock, 0.1, (account, 1))
    attribution.add_sample(0.8, Reading(6.0))
    found = spent([account])
    assert found is not None
    assert [found.joules, found.watts] == pytest.approx([1.2, 6.0])


def test_watts_are_those_of_the_whole_board_whoever_shares_the_step() -> None:
    attribution, clock = metered()
    accounts = [attribution.open_account() for _ in range(4)]
    attribution.add_sample(0.0, Reading(8.0))
    run_step(attribution, clock, 0.5, *((account, 1) for account in accounts))
    attribution.add_sample(0.6, Reading(8.0))
    alone, together = spent(accounts[:1]), spent(accounts)
    assert alone is not None
    assert together is not None
    assert [alone.joules, alone.watts] == pytest.approx([1.0, 8.0])
    assert [together.joules, together.watts] == pytest.approx([4.0, 8.0])


def test_the_last_step_is_known_after_the_next_sample() -> None:
    attribution, clock = metered()
    account = attribution.open_account()
    attribution.add_sample(0.0, Reading(6.0))
    run_step(attribution, clock, 0.5, (account, 1))
    assert (account.begun, account.settled) == (1, 0)
    assert spent([account]) is None
    attribution.add_sample(0.55, Reading(6.0))
    assert account.is_settled
    assert spent([account]) is not None


def test_a_gap_makes_it_unknown_not_smaller() -> None:
    attribution, clock = metered()
    account = attribution.open_account()
    attribution.add_sample(0.0, Reading(6.0))
    run_step(attribution, clock, 0.1, (account, 1))
    attribution.add_sample(0.2, Reading(6.0))
    run_step(attribution, clock, 0.4, (account, 1))
    attribution.add_sample(1.3, Reading(6.0))  # 1.1 s after the last
    clock.now_s = 1.3
    run_step(attribution, clock, 0.1, (account, 1))
    attribution.add_sample(1.5, Reading(6.0))
    assert account.is_settled
    assert spent([account]) is None
    totals = attribution.totals()
    assert [totals.joules, totals.unmeasured_s] == pytest.approx([1.2, 0.4])


def test_before_the_first_sample_it_is_unknown() -> None:
    attribution, clock = metered()
    account = attribution.open_account()
    run_step(attribution, clock, 0.5, (account, 1))
    attribution.add_sample(0.4, Reading(6.0))
    attribution.add_sample(0.6, Reading(6.0))
    assert account.is_settled
    assert spent([account]) is None


def test_a_meter_that_goes_away_leaves_no_figure() -> None:
    attribution, clock = metered()
    done, running = attribution.open_account(), attribution.open_account()
    attribution.add_sample(0.0, Reading(6.0))
    run_step(attribution, clock, 0.5, (done, 1), (running, 1))
    attribution.add_sample(0.6, Reading(6.0))
    attribution.close()
    assert spent([running]) is None
    run_step(attribution, clock, 0.5, (running, 1))
    assert running.is_settled
    assert attribution.totals().unmeasured_s == pytest.approx(0.5)


def test_figures_of_two_meters_are_not_put_together() -> None:
    accounts = []
    for attribution, clock in (metered(), metered(replace(QUICK, scope="supply"))):
        account = attribution.open_account()
        attribution.add_sample(0.0, Reading(6.0))
        run_step(attribution, clock, 0.5, (account, 1))
        attribution.add_sample(0.6, Reading(6.0))
        accounts.append(account)
        assert spent([account]) is not None
    assert spent(accounts) is None
    assert spent([accounts[0], None]) is None
    assert spent([]) is None


@pytest.mark.parametrize(("meter", "needed_s"), [(PLAIN, 1.0), (PMIC, 2.0), (INA3221, 4.3)])
def test_what_the_meter_cannot_follow_has_no_figure(meter: Meter, needed_s: float) -> None:
    assert shortest_s(meter) == pytest.approx(needed_s)
    for took_s, is_known in ((0.99 * needed_s, False), (1.01 * needed_s, True)):
        attribution, clock = metered(meter)
        account = attribution.open_account()
        run_step(attribution, clock, took_s, (account, 1))
        sample(attribution, np.arange(0.0, 6.0, 0.1).tolist())
        assert (spent([account]) is not None) == is_known


def test_a_filter_hides_at_most_a_tenth_of_the_rise_from_the_shortest_answer() -> None:
    """Closed form: a low-pass that stood at 5 W shows 18.7 W only after a while, and so misses 13.7 W times tau."""
    attribution, clock = metered(INA3221)
    account, took_s, tau_s = attribution.open_account(), shortest_s(INA3221), 0.43
    run_step(attribution, clock, took_s, (account, 1))
    for time_s in np.arange(0.0, 6.0, 0.01).tolist():
        attribution.add_sample(time_s, Reading(18.7 - 13.7 * float(np.exp(-time_s / tau_s))))
    found = spent([account])
    assert found is not None
    assert 18.7 * took_s - found.joules == pytest.approx(13.7 * tau_s, rel=1e-3)
    assert 18.7 * took_s - found.joules < 0.1001 * 13.7 * took_s


def test_a_counter_that_stands_still_measures_nothing() -> None:
    attribution, clock = metered()
    account = attribution.open_account()
    attribution.add_sample(0.0, Reading(energy_j=5.0))
    run_step(attribution, clock, 0.5, (account, 1))
    attribution.add_sample(0.6, Reading(energy_j=5.0))
    assert account.is_settled
    assert spent([account]) is None


def test_a_silent_meter_does_not_fill_the_memory() -> None:
    attribution, clock = metered()
    account = attribution.open_account()
    for _ in range(_MOST_PENDING + 1):
        run_step(attribution, clock, 0.001, (account, 1))
    assert account.is_settled
    assert account.unmeasured == _MOST_PENDING + 1


def test_requests_without_an_account_count_in_the_whole_only() -> None:
    attribution, clock = metered()
    account = attribution.open_account()
    attribution.add_sample(0.0, Reading(6.0))
    run_step(attribution, clock, 0.5, (account, 1), (None, 2))
    attribution.add_sample(0.6, Reading(6.0))
    assert account.joules == pytest.approx(1.0)
    assert attribution.totals().joules == pytest.approx(3.0)
