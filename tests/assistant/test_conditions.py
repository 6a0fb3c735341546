"""Handwritten sentences over exceptions, conditions, order, groups of people and timing, each on a source of its own.

A source stands above its faithful (`+`) and wrong (`-`) sentences. Before any rule was made for them 17 of the 20 faithful ones
were accepted and 8 of the 20 wrong ones caught; now it is 17 and 19, and `?` marks those that are judged wrongly still.
"""

from collections.abc import Iterator

import pytest

from assistant.knowledge.citations import check_answer
from models.grounding import Passage

SENTENCES = """
Tetraplane is the usual first treatment of ear infection except in children under two years.
+ Except in children under two years, tetraplane is the usual first treatment of ear infection.
- Tetraplane is the usual first treatment of ear infection.
Stop smoking advice should be offered at each visit other than those for an emergency.
?+ Other than at emergency visits, stop smoking advice should be offered at each visit.
?- Stop smoking advice should be offered at each visit for an emergency.
Naproxen eases the pain of gout, but it must not be given to people with a stomach ulcer.
+ Naproxen must not be given to people with a stomach ulcer.
+ Naproxen eases the pain of gout.
- Naproxen eases the pain of gout in people with a stomach ulcer.
The wound can be closed with glue unless it crosses a joint.
+ Unless the wound crosses a joint, it can be closed with glue.
- The wound can be closed with glue if it crosses a joint.
- The wound can be closed with glue.
If the temperature stays above 38 °C for three days, take a sample of blood.
+ Take a blood sample if the temperature stays above 38 °C for three days.
- Take a sample of blood.
Only anaesthetists should give ketamine on the ward.
+ On the ward, ketamine should only be given by anaesthetists.
- Give ketamine on the ward.
Give 10 ml of the syrup in the morning and 5 ml at night.
+ In the morning give 10 ml of the syrup, and at night 5 ml.
- Give 5 ml of the syrup in the morning and 10 ml at night.
Remove the stitches from the face after 5 days and from the leg after 14 days.
+ Stitches in the face are removed after 5 days.
- Remove the stitches from the leg after 5 days.
People over 75 with a broken hip should be seen by a geriatrician.
+ A geriatrician should see people over 75 who have a broken hip.
- People with a broken hip should be seen by a geriatrician.
Stop warfarin five days before the operation and start it again the evening after it.
+ Warfarin is stopped five days before the operation.
- Warfarin is stopped five days after the operation.
The vaccine should be given within 72 hours of contact with measles.
+ Give the vaccine no later than 72 hours after contact with measles.
- The vaccine should be given 72 hours after contact with measles.
Oxygen is not needed in a heart attack if the saturation is 94% or more.
+ In a heart attack with a saturation of 94% or more, oxygen is not needed.
- Oxygen is not needed in a heart attack.
A second scan is done in the third trimester when the placenta lies low in the first one.
?+ When the placenta lies low in the first scan, a second one is done in the third trimester.
- A second scan is done in the first trimester.
In adults with chronic hepatitis C, test the liver with an elastogram every year.
+ Adults who have chronic hepatitis C need an elastogram of the liver each year.
- In adults with chronic hepatitis B, test the liver with an elastogram every year.
Beta blockers are safe in heart failure apart from during an acute attack.
+ Apart from during an acute attack, beta blockers are safe in heart failure.
- Beta blockers are safe in heart failure during an acute attack.
Flush the tube before each feed and clamp it after each feed.
+ Before each feed, flush the tube.
- Flush the tube after each feed.
Aim for a blood pressure below 130/80 mmHg in people with diabetes and protein in the urine.
+ In people with diabetes and protein in the urine the target blood pressure is below 130/80 mmHg.
- In people with diabetes the target blood pressure is below 80/130 mmHg.
Antibiotics for a sore throat can wait, provided that the patient can drink.
+ Provided that the patient can drink, antibiotics for a sore throat can wait.
- Antibiotics for a sore throat can wait.
Excluding women who breastfeed, all patients with this infection may take doxycycline.
?+ All patients with this infection may take doxycycline, women who breastfeed excluded.
- All women who breastfeed with this infection may take doxycycline.
"""


def cases(mark: str) -> Iterator[tuple[str, str]]:
    source = ""
    for line in SENTENCES.strip().splitlines():
        begin, _, sentence = line.partition(" ")
        if begin == mark:
            yield source, sentence
        elif begin.strip("?+-"):
            source = line


def status(source: str, sentence: str) -> str:
    (check,) = check_answer(f"{sentence[:-1]} [1].", [Passage("Notes", "Advice", source)])
    return check.status


@pytest.mark.parametrize(("source", "sentence"), list(cases("+")))
def test_a_faithful_sentence_is_supported(source: str, sentence: str) -> None:
    assert status(source, sentence) == "supported"


@pytest.mark.parametrize(("source", "sentence"), list(cases("-")))
def test_a_wrong_sentence_is_not(source: str, sentence: str) -> None:
    assert status(source, sentence) == "unsupported"


def test_as_many_are_judged_wrongly_as_is_said_above() -> None:
    assert {status(*case) for case in cases("?+")} == {"unsupported"}
    assert {status(*case) for case in cases("?-")} == {"supported"}
    assert [len(list(cases(mark))) for mark in ("+", "?+", "-", "?-")] == [17, 3, 19, 1]
