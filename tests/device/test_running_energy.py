"""The integral that is kept up to date, against the one that is computed afterwards."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.energy import Window, window_energy
from device.reading import Reading
from device.running_energy import _REMEMBERED, RunningEnergy
from device.trace import Numbers, make_trace
from tests.device.meters import PLAIN, jittered


def running(times_s: Numbers, powers_w: Numbers | None = None, energies_j: Numbers | None = None) -> RunningEnergy:
    energy = RunningEnergy(PLAIN)
    for place, time_s in enumerate(times_s.tolist()):
        energy.add(
            time_s,
            Reading(
                None if powers_w is None else float(powers_w[place]),
                None if energies_j is None else float(energies_j[place]),
            ),
        )
    return energy


@given(
    steps_s=st.lists(st.floats(0.01, 1.2), min_size=2, max_size=30),
    values=st.data(),
    edges=st.tuples(st.floats(-1.0, 20.0), st.floats(0.001, 20.0)),
    counts=st.booleans(),
)
def test_it_says_what_the_whole_trace_says(
    steps_s: list[float], values: st.DataObject, edges: tuple[float, float], counts: bool
) -> None:
    times = np.cumsum([0.0, *steps_s])
    given_values = values.draw(st.lists(st.floats(0.0, 100.0), min_size=len(times), max_size=len(times)))
    powers = None if counts else np.array(given_values)
    energies = np.array(given_values) if counts else None
    window = Window(edges[0], edges[0] + edges[1])
    whole = window_energy(make_trace(PLAIN, times, powers, energies), window)
    found = running(times, powers, energies).between_j(window.start_s, window.end_s)
    if whole.energy_j is None:
        assert found is None
    else:
        assert found == pytest.approx(whole.energy_j, abs=1e-9)


def test_a_ramp_has_its_closed_form() -> None:
    times = jittered(0.0, 20.0, 0.1)
    assert running(times, 3.0 + 2.0 * times).between_j(2.5, 7.5) == pytest.approx(3.0 * 5 + 7.5**2 - 2.5**2)


def test_over_a_gap_nothing_is_known() -> None:
    times = np.array([0.0, 0.5, 2.0, 2.5])
    energy = running(times, np.full(4, 5.0))
    assert energy.between_j(0.1, 0.5) == pytest.approx(2.0)
    assert energy.between_j(0.1, 0.6) is None
    assert energy.between_j(2.0, 2.4) == pytest.approx(2.0)


def test_a_counter_that_goes_back_has_a_gap_there() -> None:
    energy = running(np.arange(4.0), energies_j=np.array([10.0, 12.0, 1.0, 4.0]))
    assert (energy.between_j(0.0, 1.0), energy.between_j(0.5, 1.5), energy.between_j(2.0, 3.0)) == (2.0, None, 3.0)


def test_a_sample_that_says_nothing_is_passed_over() -> None:
    energy = RunningEnergy(replace(PLAIN, period_s=1.0))
    for time_s, reading in [
        (0.0, Reading(5.0)),
        (1.0, Reading(energy_j=3.0)),
        (0.0, Reading(9.0)),
        (2.0, Reading(5.0)),
    ]:
        energy.add(time_s, reading)
    assert energy.between_j(0.0, 2.0) == pytest.approx(10.0)


def test_memory_is_bounded_and_what_fell_out_is_unknown() -> None:
    times = np.arange(5.0 * _REMEMBERED) / 10
    energy = running(times, np.full(len(times), 7.0))
    last_s = float(times[-1])
    assert energy.between_j(last_s - 100.0, last_s) == pytest.approx(700.0)
    assert energy.between_j(last_s - 2 * _REMEMBERED * 0.1, last_s) is None


def test_before_the_first_sample_nothing_is_known() -> None:
    assert RunningEnergy(PLAIN).between_j(0.0, 1.0) is None
