"""How long the red-flag screen takes for notes of one page to a hundred: `make bench-flags`.

Processor time, so that what else the machine does counts less; the least and the median of the runs.
"""

import statistics
import time

from assistant.safety.screen import screen

_PARAGRAPH = """\
72M, retired welder, PMH HTN, T2DM, hyperlipidaemia, TIA 2015. C/o central chest pressure since 05:30, radiating to the left arm,
with nausea and sweating; no fever, no cough, no haemoptysis, denies abdominal pain or syncope. Took aspirin 300 mg at home.
O/E: pale, clammy, HR 96 regular, BP 148/88, RR 22, SpO2 94% on air, T 36.8, GCS 15. Heart sounds normal, calves soft.
Abdomen soft, non-tender, no guarding. ECG: sinus rhythm, 1 mm ST depression in V4 to V6. Father had an MI at 50, mother a stroke.
Ex-smoker, 20 pack years, drinks 10 units a week, lives with his wife, independent. Allergies: penicillin (rash as a child).
Plan: repeat ECG, troponin at 0 and 3 hours, bloods, chest film, review by cardiology; return at once if the pain comes back.
"""
_PAGE_CHARACTERS = 3000
_RUNS = 30


def main() -> None:
    """Print one line for each length."""
    screen([_PARAGRAPH])  # reads the rules
    for pages in (1, 2, 10, 100):
        size = pages * _PAGE_CHARACTERS
        note = (_PARAGRAPH * (size // len(_PARAGRAPH) + 1))[:size]
        taken_s = sorted(_processor_time_s(note) for _ in range(max(_RUNS // pages, 3)))
        least, median = taken_s[0] * 1e3, statistics.median(taken_s) * 1e3
        print(f"{pages:4} pages, {size:7,} characters: {least:8.2f} ms least, {median:8.2f} median")


def _processor_time_s(note: str) -> float:
    started = time.process_time()
    screen([note])
    return time.process_time() - started


if __name__ == "__main__":
    main()
