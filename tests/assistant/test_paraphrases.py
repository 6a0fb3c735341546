"""Sentences written by hand on passages of the starter library: as a model might say it, rightly and wrongly."""

from collections.abc import Iterator

import pytest

from assistant.knowledge.citations import check_answer
from models.grounding import Passage
from models.starter import load_notes

FAITHFUL = """
# anaphylaxis: Immediate actions
- As soon as anaphylaxis is suspected, give adrenaline intramuscularly into the outer mid-thigh and call for
  emergency help.
- In adults the dose is 0.5 mg (0.5 mL of 1 mg/mL).
- The adult dose of epinephrine is 500 micrograms IM.
- If problems persist, repeat the dose after 5 minutes.
- Lay the patient flat; sitting is allowed if breathing is difficult.
- Start high-flow oxygen and, if blood pressure is low, rapid IV crystalloid.
# anaphylaxis: After the emergency
- IV adrenaline should only be given by experienced clinicians.
- Do not use antihistamines or corticosteroids instead of adrenaline.
- Anaphylaxis may return without new exposure, so observe the patient for several hours.
# anaphylaxis: Recognition
- Skin signs may be absent in anaphylaxis.
# croup: Treatment
- Give one oral dose of dexamethasone, 0.15–0.6 mg/kg.
- A single dose of oral dexamethasone (0.15 to 0.6 mg/kg) is given to children with croup.
- The throat should not be examined by force in a child with stridor.
- There is no established role for antibiotics in croup.
- Antibiotics are not recommended in croup.
- Keep the child calm, since distress worsens the obstruction.
# croup: Recognition
- Croup typically occurs between 6 months and 3 years of age.
- Stridor at rest is not a feature of mild croup.
# metformin: Contraindications
- Do not use metformin when the eGFR is below 30 mL/min/1.73 m2.
- Metformin is contraindicated if the estimated GFR is <30 mL/min/1.73 m².
- Metformin should not be given when estimated glomerular filtration rate is less than 30 mL/min/1.73 m2.
- Withhold metformin in sepsis, shock or acute kidney injury.
# metformin: Uses
- Start adults with 500 mg once a day with a meal.
- Hypoglycaemia is uncommon when metformin is used alone.
# metformin: Adverse effects
- Lactic acidosis is uncommon with metformin.
# metformin: Monitoring
- Check kidney function before starting metformin and at least once a year.
- Pause metformin if the patient is vomiting or dehydrated.
# paracetamol-overdose: Antidote decisions
- Measure the paracetamol level at least 4 hours after ingestion.
- The nomogram cannot be used for staggered overdoses.
# paracetamol-overdose: Recognition
- In the first 24 hours there may be few or no symptoms.
# paracetamol-overdose: Immediate actions
- The antidote is acetylcysteine.
# warfarin: Uses
- The target INR is usually 2.5 (range 2.0–3.0).
# warfarin: Contraindications
- Warfarin must not be used in pregnancy, except in selected women with mechanical valves under specialist care.
- Warfarin is contraindicated in active major bleeding.
# warfarin: Danger signs
- Give intravenous vitamin K and prothrombin complex concentrate for life-threatening bleeding.
# warfarin: Interactions
- Amiodarone raises the INR and rifampicin lowers it.
# heart-failure: Treatment
- NSAIDs should not be used in heart failure.
- Avoid verapamil and diltiazem when the ejection fraction is reduced.
# heart-failure: Monitoring
- Beta-blockers are started at a low dose and increased slowly.
# heart-failure: Danger signs
- A weight gain of 2 kg in three days suggests fluid retention.
"""
WRONG = """
# anaphylaxis: Immediate actions
- Give intravenous adrenaline as soon as anaphylaxis is suspected.
- The adult dose is 1 mg.
- The adult dose of adrenaline is 5 mg.
- Repeat intramuscular adrenaline after 15 minutes.
- Older children need a smaller age-based dose.
# anaphylaxis: After the emergency
- Antihistamines and corticosteroids may replace adrenaline.
- Anaphylaxis cannot return without new exposure.
- Observe the patient for several days.
# croup: Treatment
- Give dexamethasone 0.15 to 0.6 mg per day.
- Give prednisolone 0.15 to 0.6 mg/kg.
- Observe for at most 2 hours.
- Antibiotics have an established role in croup.
- Force throat examination in a child with stridor.
- Give adults with croup a single oral dose of dexamethasone.
# croup: Recognition
- Mild croup has stridor at rest.
- Croup is usual between 6 and 13 years of age.
# metformin: Contraindications
- Metformin is contraindicated when estimated glomerular filtration rate is above 30 mL/min/1.73 m2.
- Metformin is contraindicated when estimated glomerular filtration rate is below 45 mL/min/1.73 m2.
- Metformin can be used in sepsis, shock or acute kidney injury.
- Sepsis and shock are reasons to start metformin.
# metformin: Uses
- Metformin often causes hypoglycaemia when used alone.
- Metformin is started at 500 mg twice daily with a meal.
- Metformin is started at 850 mg once daily.
- Start with 500 mg once a day with a meal.
# metformin: Adverse effects
- Lactic acidosis is common with metformin.
# metformin: Monitoring
- Kidney function should be checked at least monthly.
- Metformin should be continued during vomiting, diarrhoea or dehydration.
# paracetamol-overdose: Antidote decisions
- Measure the paracetamol level before 4 hours.
- The nomogram is valid for staggered ingestion.
- Acetylcysteine is least effective when started within 8 hours.
- Wait for results before starting acetylcysteine if ingestion occurred more than 8 hours ago.
# paracetamol-overdose: Immediate actions
- Naloxone is the antidote for paracetamol overdose.
- Activated charcoal may help if the patient is not alert.
# warfarin: Uses
- The usual target INR is 3.5.
- Direct oral anticoagulants are preferred to warfarin for mechanical valves.
# warfarin: Contraindications
- Warfarin is safe in pregnancy.
- Warfarin is contraindicated in pregnancy.
# warfarin: Interactions
- Rifampicin raises the INR and amiodarone lowers it.
# warfarin: Danger signs
- A high INR without bleeding is managed by giving warfarin.
# heart-failure: Treatment
- NSAIDs should be used in heart failure.
- Verapamil should be given when ejection fraction is reduced.
# heart-failure: Monitoring
- Beta-blockers should be started at a high dose.
# heart-failure: Danger signs
- A weight gain of 20 kg over three days suggests fluid retention.
"""


def cases(table: str) -> Iterator[tuple[str, str, str]]:
    for block in table.split("# ")[1:]:
        heading, *sentences = block.split("\n- ")
        note, section = heading.split(": ")
        yield from ((note, section, " ".join(sentence.split())) for sentence in sentences)


def status(note: str, section: str, sentence: str) -> set[str]:
    (found,) = (
        Passage(each.title, part.heading, part.text)
        for each in load_notes()
        for part in each.sections
        if (each.id, part.heading) == (note, section)
    )
    return {check.status for check in check_answer(f"{sentence[:-1]} [1].", [found])}


@pytest.mark.parametrize(("note", "section", "sentence"), list(cases(FAITHFUL)))
def test_a_faithful_sentence_is_supported(note: str, section: str, sentence: str) -> None:
    assert status(note, section, sentence) == {"supported"}


@pytest.mark.parametrize(("note", "section", "sentence"), list(cases(WRONG)))
def test_a_wrong_sentence_is_not(note: str, section: str, sentence: str) -> None:
    assert status(note, section, sentence) == {"unsupported"}
