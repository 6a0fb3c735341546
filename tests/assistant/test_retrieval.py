"""Natural questions against the starter library: the right note, the right section, nothing where nothing fits."""

import time
from pathlib import Path

import pytest

from assistant.errors import LibraryError
from assistant.knowledge.index import Index
from assistant.knowledge.installed import Shelf
from assistant.knowledge.library import LibraryPassage, starter_documents
from assistant.knowledge.search import search

UTI_QUESTION = (
    "Burning, frequent urination: could this be a UTI, how urgent is it, what should I ask at the appointment?"
)

# Question, the notes that answer it (by |), the section that should lead ("" where any may).
QUESTIONS = [
    ("It burns when I pee and I have to go all the time", "urinary-tract-infection-adults", "Symptoms"),
    ("Which antibiotic is first line for cystitis?", "urinary-tract-infection-adults", "Treatment"),
    ("Can I take ibuprofen while on warfarin?", "warfarin|nsaids", "Interactions"),
    ("How much adrenaline do I give in anaphylaxis?", "anaphylaxis", "Immediate actions"),
    ("baby with barking cough and noisy breathing", "croup", "Recognition"),
    ("can i give ibuprofen to someone on warfarin", "warfarin", "Interactions"),
    ("What are normal vital signs in adults?", "adult-vital-signs", "Normal ranges"),
    ("signs of a heart attack", "acute-coronary-syndrome", "Recognition"),
    ("When should a child with fever go to hospital?", "fever-in-children", "Danger signs"),
    ("my patient on ramipril has a persistent dry cough", "ace-inhibitors", "Adverse effects"),
    ("face droop and slurred speech since one hour, what to do", "stroke-and-tia", ""),
    ("Low blood sugar in an unconscious diabetic: treatment", "hypoglycaemia", "Immediate actions"),
    ("Metformin and kidney function: when must it be stopped?", "metformin", "Contraindications"),
    ("side effects of statins", "statins", "Adverse effects"),
    ("How is croup treated?", "croup", "Treatment"),
    ("swollen painful calf after a long flight", "deep-vein-thrombosis", ""),
    ("What antidote for opioid overdose?", "opioid-overdose", "Immediate actions"),
    ("How do I treat a scald?", "burns", ""),
    ("thunderclap headache or migraine?", "migraine", ""),
    ("severe headache, neck stiffness and photophobia", "meningitis", "Recognition"),
    ("Yellow newborn baby on day one, is it dangerous?", "newborn-jaundice", "Danger signs"),
    ("vomiting blood and black stools", "upper-gastrointestinal-bleeding", "Recognition"),
    ("target oxygen saturation in COPD", "oxygen-therapy|copd", ""),
    ("How do I score the Glasgow Coma Scale?", "glasgow-coma-scale", "Scoring"),
    ("What does a NEWS2 score of 7 mean?", "news2-score", ""),
    ("someone wants to kill himself, what should I ask?", "suicidal-thoughts", "Questions to ask"),
    ("Heavy bleeding after delivery, first steps", "postpartum-haemorrhage", "Immediate actions"),
    ("high blood pressure in pregnancy with headache", "pre-eclampsia", ""),
    ("Tylenol overdose how long for acetylcysteine", "paracetamol-overdose", ""),
    ("is amoxicillin safe in penicillin allergy", "penicillins", "Contraindications"),
    ("Which blood tests to monitor on apixaban?", "direct-oral-anticoagulants", "Monitoring"),
    ("child breathing rate normal for 2 year old", "child-vital-signs", "Breathing rate"),
    ("paediatric dose calculation by weight", "paediatric-dosing", "Dosing principles"),
    ("Red flags for back pain", "low-back-pain", "Danger signs"),
    ("choking adult who becomes unresponsive", "choking", "If unresponsive"),
    ("diarrhea and vomiting, how much oral rehydration", "acute-gastroenteritis|dehydration-in-children", ""),
    ("CPR compression rate and depth", "adult-cardiac-arrest", "Immediate actions"),
    ("interactions of bisoprolol with verapamil", "beta-blockers", "Interactions"),
    ("DKA fluids and insulin", "diabetic-ketoacidosis", "Immediate actions"),
    ("earache in a toddler, antibiotics or not?", "acute-otitis-media", "Treatment"),
    ("iron deficiency anemia causes in men", "iron-deficiency-anaemia", "Causes"),
    ("irregularly irregular pulse", "atrial-fibrillation", "Recognition"),
    ("24F LIF pain, 7/40, PV bleed, dizzy", "ectopic-pregnancy", "Recognition"),
    ("72M, c/o CP x2h, SOB, diaphoretic, BP 85/50. What should I do first?", "acute-coronary-syndrome", ""),
    ("Does strep throat need antibiotics?", "sore-throat", "Treatment"),
    ("seizure lasting more than five minutes", "convulsive-seizure|febrile-seizure", ""),
    ("breathlessness and ankle swelling in an old man", "heart-failure", "Recognition"),
    ("positive pregnancy test and one-sided abdominal pain", "ectopic-pregnancy", ""),
    ("sharp chest pain on breathing in and low oxygen after surgery", "pulmonary-embolism", "Recognition"),
    ("exercise collapse in hot weather, confused, 41 degrees", "heat-stroke", ""),
    ("infected red hot leg", "cellulitis", ""),
    ("hypoglycaemia mx", "hypoglycaemia", "Immediate actions"),
    ("hypoglycaemia mx conscious pt", "hypoglycaemia", "Immediate actions"),
    ("hypoglycaemia treatment in conscious patient", "hypoglycaemia", "Immediate actions"),
    ("first line abx for CAP", "community-acquired-pneumonia", "Treatment"),
    ("sepsis mx pt", "sepsis-adults", "Immediate actions"),
    ("PE anticoag", "pulmonary-embolism", "Treatment"),
    ("PE in pregnancy anticoag", "pulmonary-embolism", "Treatment"),
    ("rx for UTI", "urinary-tract-infection-adults", "Treatment"),
    ("tx of AF c/o palps", "atrial-fibrillation", "Treatment"),
    ("furosemide dose heart failure", "heart-failure", "Treatment"),
    ("asthma ddx", "asthma-long-term", "Recognition"),
    ("stroke hx", "stroke-and-tia", ""),
    ("hyperK on ramipril", "ace-inhibitors", ""),
    ("ibuprofen tds w/ warfarin", "warfarin|nsaids", "Interactions"),
    ("beta-blocker overdose", "beta-blockers", "Adverse effects"),
    ("thanks. croup dose of steroid?", "croup", "Treatment"),
]
OUTSIDE = [
    "What is the capital of France?",
    "How do I fix my car?",
    "Who won the world cup in 2018?",
    "Write me a poem about the sea",
    "gene therapy for sickle cell disease",
    "treatment of psoriasis",
    "how to treat malaria",
    "ovarian cancer screening",
    "infliximab dose psoriasis",
    "laptop for heart failure",
    "please help",
    "?!",
    '" OR rowid:* NEAR(',
]


def note_of(passage: LibraryPassage) -> str:
    return passage.id.removeprefix("starter/").partition("#")[0]


def notes_found(index: Index, question: str) -> list[str]:
    return [note_of(hit.passage) for hit in search(index, question)]


@pytest.mark.parametrize(("question", "notes", "section"), QUESTIONS)
def test_the_right_note_is_among_the_passages(index: Index, question: str, notes: str, section: str) -> None:
    assert set(notes.split("|")) & set(notes_found(index, question)[:3])


def test_the_right_note_and_section_lead_nearly_always(index: Index) -> None:
    first_note = first_section = asked_section = 0
    for question, notes, section in QUESTIONS:
        hits = search(index, question)
        first_note += note_of(hits[0].passage) in notes.split("|")
        if section:
            of_note = [hit.passage.section for hit in hits if note_of(hit.passage) in notes.split("|")]
            first_section += of_note[:1] == [section]
            asked_section += 1
    assert first_note >= len(QUESTIONS) - 2
    assert first_section >= asked_section - 4


def test_each_part_of_a_question_brings_its_section(index: Index) -> None:
    hits = search(index, UTI_QUESTION)
    assert {note_of(hit.passage) for hit in hits} == {"urinary-tract-infection-adults"}
    assert {hit.passage.section for hit in hits[:3]} == {"Symptoms", "Urgency", "Questions to ask"}


@pytest.mark.parametrize("question", OUTSIDE)
def test_a_subject_that_the_library_lacks_finds_nothing(index: Index, question: str) -> None:
    assert search(index, question) == ()


def test_a_long_case_description_still_finds_its_note(index: Index) -> None:
    case = (
        "A 63-year-old man who works as a gardener and lives with his wife has noticed since yesterday evening that he"
        " has crushing central chest pain radiating to the left arm with sweating. What should be done?"
    )
    assert notes_found(index, case)[0] == "acute-coronary-syndrome"


def test_the_patient_note_supplies_what_the_question_leaves_out(index: Index) -> None:
    hits = search(index, "Which antibiotic?", note="24-year-old woman with dysuria and frequency, not pregnant")
    assert note_of(hits[0].passage) == "urinary-tract-infection-adults"
    assert hits[0].passage.section == "Treatment"


def test_british_and_american_spelling_find_the_same(index: Index) -> None:
    for british, american in (("anaemia in pregnancy", "anemia in pregnancy"), ("diarrhoea", "diarrhea")):
        assert search(index, british) == search(index, american)


def test_search_is_quick_and_repeatable(index: Index) -> None:
    started = time.perf_counter()
    found = [search(index, question) for question, _, _ in QUESTIONS]
    assert (time.perf_counter() - started) / len(QUESTIONS) < 0.03
    assert found == [search(index, question) for question, _, _ in QUESTIONS]


def test_passages_carry_what_a_reader_needs_to_judge_them() -> None:
    passages = [passage for document in starter_documents() for passage in document.passages]
    assert len({passage.id for passage in passages}) == len(passages)
    for passage in passages:
        assert passage.title
        assert passage.section
        assert passage.text
        assert passage.follows
        assert passage.licence == "Apache-2.0"
        assert len(passage.date) == len("2026-11-21")


def test_the_id_changes_with_the_text() -> None:
    from assistant.knowledge.library import passage_id

    assert passage_id("starter", "asthma", 2, "abc") == "starter/asthma#2@ba7816bf"  # SHA-256 test vector "abc"
    assert passage_id("starter", "asthma", 2, "abd") != passage_id("starter", "asthma", 2, "abc")


def test_an_unknown_library_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    monkeypatch.setenv("BEDSIDE_LIBRARIES", str(tmp_path))
    with pytest.raises(LibraryError, match=r"no library named 'nice' \(available: starter\)"):
        Shelf().index(["nice"])
