"""The search over real indexes: the starter library, and a small one in which abbreviations are ambiguous."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.knowledge.index import Index
from assistant.knowledge.library import Document, LibraryPassage, passage_id, starter_documents
from assistant.knowledge.search import search
from assistant.knowledge.volume import Volume
from tests.assistant.test_retrieval import QUESTIONS, note_of


def document(title: str, **sections: str) -> Document:
    passages = tuple(
        LibraryPassage(passage_id("own", title, number, text), title, heading, text, "", "", "")
        for number, (heading, text) in enumerate(sections.items(), start=1)
    )
    return Document(title, title, (), passages)


@pytest.fixture(scope="module")
def own() -> Index:
    documents = [
        document(
            "Multiple sclerosis",
            Information="Demyelinating lesions come and go in brain and cord.",
            Treatment="Relapses are shortened by steroids.",
        ),
        document(
            "Mitral stenosis",
            Information="The valve is narrow and the atrium large.",
            Treatment="A balloon opens the valve.",
        ),
        document("Pulmonary embolism", Information="A clot in a lung artery.", Treatment="Anticoagulants are given."),
        document("COPD", Information="Airflow is limited for good.", Treatment="Inhalers widen the airways."),
        document("Hydralazine", Uses="It lowers the pressure in the arteries."),
        document("Prednisolone", Uses="It calms inflammation."),
        document("Prednisone", Uses="The liver makes it active."),
        document("Preeclampsia", Information="Pressure rises late in pregnancy.", Treatment="Delivery ends it."),
        document("Beta blockers", Uses="They slow the heart."),
    ]
    return Index([Volume.of_documents("own", documents)])


def titles(index: Index, question: str, earlier: Sequence[str] = ()) -> list[str]:
    return list(dict.fromkeys(hit.passage.title for hit in search(index, question, earlier=earlier)))


def test_each_meaning_of_an_abbreviation_is_shown(own: Index) -> None:
    assert titles(own, "treatment of MS") == ["Multiple sclerosis", "Mitral stenosis"]
    sections = [(hit.passage.title, hit.passage.section) for hit in search(own, "treatment of MS")][:2]
    assert sections == [("Multiple sclerosis", "Treatment"), ("Mitral stenosis", "Treatment")]


def test_the_rest_of_the_question_may_say_which_is_meant(own: Index) -> None:
    assert titles(own, "demyelinating lesions of MS") == ["Multiple sclerosis"]


def test_a_full_name_finds_the_abbreviation(own: Index) -> None:
    assert titles(own, "chronic obstructive airways disease: therapy") == ["COPD"]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("hydralazin", ["Hydralazine"]),
        ("hidralazine", ["Hydralazine"]),
        ("hydroxyzine", []),
        ("hydraxyzine", []),
        ("prednisolne", ["Prednisolone", "Prednisone"]),
        ("multiple sclorosis", ["Multiple sclerosis"]),
        ("β-blockers", ["Beta blockers"]),
        ("betablockers", ["Beta blockers"]),
        ("pre-eclampsia", ["Preeclampsia"]),
    ],
)
def test_other_spellings(own: Index, question: str, found: list[str]) -> None:
    assert titles(own, question) == found


def test_what_may_be_asked_of_any_subject_does_not_stand_for_one() -> None:
    held = Index(
        [Volume.of_documents("own", [document("Croup", Recognition="It barks.", Care="The course is benign.")])]
    )
    assert titles(held, "croup course") == ["Croup"]
    assert titles(held, "course of sarcoidosis") == []


def test_the_document_that_is_called_what_is_asked_leads_one_that_has_it_among_its_keywords() -> None:
    tablets = document("Sugar tablets", Uses="They end faintness when sugar is short.")
    tablets = replace(tablets, keywords=("faintness", "sudden faintness", "faintness of diabetics"))
    notes = [tablets, document("Faintness", Recognition="Pallor, then a fall.", Care="Lay the person down.")]
    assert titles(Index([Volume.of_documents("own", notes)]), "faintness, what to do")[0] == "Faintness"


def test_one_finding_of_a_long_description_does_not_lead_by_its_name() -> None:
    sign = document("Froth", Recognition="Froth in urine tells of albumin, as in oedema of eyelids and lipids.")
    disease = document(
        "Minimal change", Recognition="Pallor, puffy eyelids, oedema, froth in urine, albumin and lipids."
    )
    index = Index([Volume.of_documents("own", [sign, disease])])
    case = "pallor, puffy eyelids, oedema, froth in urine, albumin and lipids in a boy"
    assert titles(index, case)[0] == "Minimal change"
    assert titles(index, "froth in urine")[0] == "Froth"


def test_of_documents_that_each_answer_one_question_the_one_asked_leads() -> None:
    asked = {
        "What causes Verdin's fever ?": "Verdin fever comes from ticks.",
        "What are the treatments for Verdin's fever ?": "Verdin fever ends with rest.",
        "What are the symptoms of the early and of the late stages in Verdin's fever ?": "It brings rash and chills.",
        "Is Verdin's fever inherited ?": "Verdin fever is not.",
    }
    others = {f"How common is Verdin's fever in {place} ?": "Verdin fever is rare." for place in "abcdefghijklm"}
    others |= {f"What are the symptoms of ague {number} ?": "Ague shakes." for number in range(60)}
    held = [document(title, **{"": text}) for title, text in (others | asked).items()]
    index = Index([Volume.of_documents("own", held)])
    for question, first in (
        ("what are the symptoms of Verdin's fever?", 2),
        ("Verdin’s fever rx", 1),
        ("is Verdin fever hereditary", 3),
    ):
        assert titles(index, question)[0] == list(asked)[first]


def test_a_document_without_headings_is_of_the_kind_that_its_title_says() -> None:
    held = [
        document(title, **{"": "Verdin fever: see there."}) for title in ("Verdin fever causes", "Verdin fever therapy")
    ]
    index = Index([Volume.of_documents("own", held)])
    assert titles(index, "how is verdin fever managed")[0] == "Verdin fever therapy"
    assert titles(index, "why verdin fever")[0] == "Verdin fever causes"


def test_a_medicine_that_is_not_held_leaves_the_subject_that_a_title_names() -> None:
    others = [document(f"Note {number}", Text="Seen in heart failure too.") for number in range(40)]
    others += [document(f"Letter {number}", Text="About another thing.") for number in range(60)]
    index = Index(
        [Volume.of_documents("own", [document("Chronic heart failure", Care="In heart failure: rest."), *others])]
    )
    assert titles(index, "furosemide dose heart failure")[0] == "Chronic heart failure"
    assert titles(index, "furosemide dose failure") == []
    assert titles(index, "furosemide dose fulminant heart failure") == []
    assert titles(index, "fulminant heart failure") == []


def test_a_new_subject_wins_over_the_one_before(index: Index) -> None:
    for question in (
        "thanks. now croup dose of steroid?",
        "ok, croup mx",
        "cheers that helps. croup: which steroid?",
        "cool. next pt: croup tx",
    ):
        hits = search(index, question, earlier=["How is DVT treated?"])
        assert {note_of(hit.passage) for hit in hits} == {"croup"}, question


def test_what_is_said_of_the_last_answer_is_not_searched(index: Index) -> None:
    hits = search(index, "Cool. Next pt: sepsis mx", earlier=["How is DVT treated?"])
    assert {note_of(hit.passage) for hit in hits}.isdisjoint(("heat-stroke", "burns"))
    assert note_of(hits[0].passage) == "sepsis-adults"


def test_shorthand_of_an_earlier_question_is_read_too(index: Index) -> None:
    hits = search(index, "and in kids?", earlier=["hypoglycaemia mx"])
    assert note_of(hits[0].passage) == "hypoglycaemia"


def test_the_conversation_says_what_it_is_about(index: Index) -> None:
    def notes(question: str, *earlier: str) -> list[str]:
        return [note_of(hit.passage) for hit in search(index, question, earlier=earlier)]

    assert notes("And in children?", "How is asthma treated?")[0] in ("acute-severe-asthma", "asthma-long-term")
    assert notes("And in children?", "How is croup treated?")[0] == "croup"
    assert notes("What about psoriasis?", "How is asthma treated?") == []
    assert notes("What is the capital of France?", "How is asthma treated?") == []
    assert notes("Which antibiotic for cystitis?", "How is asthma treated?")[0] == "urinary-tract-infection-adults"
    hits = search(index, "How is it treated?", earlier=["Signs of DKA?"])
    assert note_of(hits[0].passage) == "diabetic-ketoacidosis"
    assert hits[0].passage.section == "Immediate actions"


def test_what_came_before_does_not_change_a_question_that_stands_alone(index: Index) -> None:
    for question, notes, _ in QUESTIONS[1::5]:
        alone = search(index, question, earlier=["Signs of heat stroke?"])
        assert note_of(alone[0].passage) in notes.split("|")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(), st.one_of(st.none(), st.text()), st.lists(st.text(), max_size=3))
def test_any_text_is_searched_and_the_same_way_each_time(
    own: Index, question: str, note: str | None, earlier: list[str]
) -> None:
    first = search(own, question, 4, note, earlier)
    assert first == search(own, question, 4, note, earlier)
    assert len(first) <= 4
    assert all(0 < hit.score <= 1 for hit in first)


@pytest.mark.parametrize(
    "question",
    [
        '"',
        "''",
        '" OR *',
        "title : x",
        "{title} : x",
        "NEAR(a b, 3)",
        "a AND NOT b",
        "^copd",
        "copd*",
        "-- ;",
        "(((",
        "\0copd",
    ],
)
def test_query_syntax_of_the_index_is_text(own: Index, question: str) -> None:
    assert set(titles(own, question)) <= {"COPD"}


def test_a_very_long_text_is_searched_by_its_rarest_words(own: Index) -> None:
    case = "She walks to the shop with her dog every day and likes tea. " * 200
    note = search(own, "What is the treatment?", note=f"{case} Anticoagulants for a clot in a lung artery. {case}")
    assert note[0].passage.title == "Pulmonary embolism"


@pytest.mark.parametrize("question", ["breathless, what now?", "What treatment does this child need?"])
def test_vital_signs_in_a_note_do_not_say_what_the_patient_has(question: str) -> None:
    starter = Index([Volume.of_documents("starter", starter_documents())])
    note = "Known asthma and migraine."
    assert search(starter, question, note=f"{note} BP 210/120, HR 90, SpO2 91%") == search(starter, question, note=note)
