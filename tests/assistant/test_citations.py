"""The check of an answer against the passages that it cites."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.citations import AnswerChecks, check_answer
from models.grounding import NO_ANSWER, Passage, quoted_answer
from models.sentences import split_sentences
from models.starter import load_notes

ADRENALINE = Passage(
    "Anaphylaxis",
    "Immediate actions",
    "Give adrenaline 0.5 mg into the outer thigh of an adult. Repeat adrenaline after 5 minutes if there is no"
    " improvement. Do not let the patient stand up suddenly. Beta blockers should not be combined with it unless a"
    " cardiologist agrees. There is no evidence that antihistamines prevent shock. Steroids are rarely useful.",
)
FLUIDS = Passage(
    "Shock",
    "Fluids",
    "Give 500 ml of crystalloid over 15 minutes and measure the blood pressure again. In adults over 65 years, amoxicillin"
    " 500 mg three times a day for 5 to 7 days is the first choice. It is also given before surgery."
    " A normal pulse is 60 to 100 per minute in adults, and 110 to 160 in infants.",
)
PASSAGES = [ADRENALINE, FLUIDS]


@pytest.mark.parametrize(
    "sentence",
    [
        "Give adrenaline 0.5 mg into the outer thigh of an adult. [1]",
        "give  ADRENALINE 0.5 mg into the outer thigh of an adult [1]",
        "Give an adult adrenaline 0.50 mg into the outer thigh. [1]",
        "Give epinephrine 500 micrograms into the outer thigh of an adult [1].",
        "- **Give** adrenaline 0.5 mg into the outer thigh of an adult [1]",
        (
            "Adrenaline 0.5 mg should be given into the outer thigh of an adult, and repeated after 5 min if there is no"
            " improvement. [1]"
        ),
        "The patient should not stand up suddenly. [1]",
        "Avoid letting the patient stand up suddenly. [1]",
        "Unless a cardiologist agrees, beta blockers should not be combined with it. [1]",
        "Antihistamines have not been shown to prevent shock. [1]",
        "Steroids are seldom useful. [1]",
        "Give 500 ml of crystalloid over 15 minutes. [2]",
        "Give crystalloid, half a litre in 15 minutes. [2]",
        "In adults older than 65 years, Amoxil 0.5 g three times daily for 5–7 days is the first choice [2].",
        "Amoxicillin is also given before surgery. [2]",
        "A pulse of 110 to 160 per minute is normal in infants. [2]",
        "In adults, the normal pulse is 60-100 per minute. [2]",
    ],
)
def test_a_faithful_sentence_is_supported(sentence: str) -> None:
    (check,) = check_answer(sentence, PASSAGES)
    assert (check.status, check.by, check.reasons) == ("supported", "model", ())
    assert (check.start, check.end) == (0, len(sentence))


@pytest.mark.parametrize(
    ("sentence", "reasons"),
    [
        ("Give adrenaline 0.3 mg into the outer thigh of an adult. [1]", ("number",)),
        ("Give adrenaline 0.5 ml into the outer thigh of an adult. [1]", ("unit",)),
        ("Repeat adrenaline after 5 hours if there is no improvement. [1]", ("unit",)),
        ("Give adrenaline 0.5 mg into the outer thigh of an adult after 5 minutes. [1]", ("number",)),
        ("Give 500 ml of crystalloid over 15 minutes. [1]", ("number",)),
        ("Amoxicillin 500 mg every 8 hours for 5 to 7 days is the first choice. [2]", ("number",)),
        ("In adults under 65 years, amoxicillin is the first choice. [2]", ("number",)),
        ("Amoxicillin 500 mg three times a day for 7 days is the first choice. [2]", ("number",)),
        ("A pulse of 60 to 100 per minute is normal in infants. [2]", ("number",)),
        ("Give adrenaline 0.5 mg and atropine into the outer thigh of an adult. [1]", ("drug",)),
        ("Ampicillin 500 mg three times a day for 5 to 7 days is the first choice. [2]", ("drug",)),
        ("Do not give adrenaline 0.5 mg into the outer thigh of an adult. [1]", ("negation",)),
        ("Let the patient stand up suddenly. [1]", ("negation",)),
        ("let the patient stand up suddenly [1]", ("negation",)),
        ("Beta blockers should be combined with it. [1]", ("negation",)),
        ("Beta blockers should not be combined with it. [1]", ("negation",)),
        ("Antihistamines prevent shock. [1]", ("negation",)),
        ("Steroids are often useful. [1]", ("negation",)),
        ("It is also given after surgery. [2]", ("negation",)),
        ("Give adrenaline 0.5 mg and adrelantoin into the outer thigh of an adult. [1]", ("overlap",)),
        ("Give adrenaline 0.5 mg into the outer thigh of a giraffe. [1]", ("overlap",)),
        ("Repeat adrenaline before the cardiologist stands up. [1]", ("overlap",)),
        ("The weather in the mountains changes quickly. [1]", ("overlap",)),
        ("Give adrenaline 0.5 mg into the outer thigh of an adult. [7]", ("overlap",)),
        ("Give adrenaline 0.3 mg into the outer thigh of an adult. [1][7]", ("number",)),
    ],
)
def test_what_the_passage_does_not_say_is_unsupported(sentence: str, reasons: tuple[str, ...]) -> None:
    (check,) = check_answer(sentence, PASSAGES)
    assert (check.status, check.by, check.reasons) == ("unsupported", "model", reasons)


def test_a_sentence_beyond_all_measure_is_unsupported() -> None:
    (check,) = check_answer("Steroids are rarely useful and " * 60 + "[1]", PASSAGES)
    assert (check.status, check.reasons) == ("unsupported", ("overlap",))


def test_a_quote_without_a_mark_is_cited_by_the_host() -> None:
    (check,) = check_answer("Do not let the patient stand up suddenly.", PASSAGES)
    assert (check.by, check.cites, check.status) == ("host", (1,), "supported")


def test_a_sentence_without_a_mark_gains_one_where_exactly_one_passage_supports_it() -> None:
    (check,) = check_answer("The patient should not stand up suddenly.", PASSAGES)
    assert (check.by, check.cites, check.status) == ("host", (1,), "supported")
    (check,) = check_answer("The patient should not stand up suddenly.", [ADRENALINE, FLUIDS, ADRENALINE])
    assert (check.by, check.cites, check.status) == ("model", (), "uncited")
    (check,) = check_answer("Call for help early.", PASSAGES)
    assert (check.by, check.cites, check.status, check.reasons) == ("model", (), "uncited", ())


def test_a_quote_that_cites_another_passage_is_given_the_right_number() -> None:
    (check,) = check_answer("Do not let the patient stand up suddenly. [2]", PASSAGES)
    assert (check.by, check.cites, check.status, check.reasons) == ("host", (1,), "supported", ())
    (check,) = check_answer("The patient should not stand up suddenly. [2]", PASSAGES)
    assert (check.by, check.cites, check.status) == ("model", (2,), "unsupported")


@pytest.mark.parametrize("marks", [" [1][2]", " [2] [1]", " [1, 2]", " [2;1]"])
def test_of_several_marks_one_passage_may_support(marks: str) -> None:
    for text in (
        f"Steroids are rarely useful.{marks} Call for help.",
        f"Steroids are rarely useful{marks}. Call for help.",
    ):
        check, following = check_answer(text, PASSAGES)
        assert (sorted(check.cites), check.status) == ([1, 2], "supported")
        assert (text[following.start : following.end], following.cites) == ("Call for help.", ())


@pytest.mark.parametrize("line", ["## Immediate actions", "**Fluids:**", "Fluids:", "Shock", "1.", "- ", "---", "[1]"])
def test_a_heading_or_a_bullet_claims_nothing(line: str) -> None:
    (check,) = check_answer(f"{line}\nSteroids are rarely useful. [1]", PASSAGES)
    assert check.status == "supported"


@pytest.mark.parametrize(
    "line", ["## Give 5 mg", "**Do not use fluids:**", "Give atropine:", "The giraffe may go home:"]
)
def test_a_heading_that_claims_something_is_checked(line: str) -> None:
    assert [check.status for check in check_answer(line, PASSAGES)] == ["uncited"]


def test_heading_and_refusal_claim_nothing() -> None:
    assert check_answer(f"{ADRENALINE.heading}\n", PASSAGES) == ()
    assert check_answer(NO_ANSWER, PASSAGES) == ()
    assert check_answer("", PASSAGES) == ()
    assert check_answer("[1]", PASSAGES) == ()


@pytest.mark.parametrize("line", ["Shock: Fluids", "Fluids", "Fluids of shock", "Fluids in shock?", "What now?"])
def test_a_line_that_names_its_subject_or_asks_is_not_counted(line: str) -> None:
    assert check_answer(line, PASSAGES) == ()


@pytest.mark.parametrize("line", ["Shock needs fluid.", "Fluid shocks.", "Use fluid", "Fluid shock", "Shock fluids."])
def test_a_short_sentence_that_says_something_is_checked(line: str) -> None:
    assert [check.status for check in check_answer(line, PASSAGES)] == ["uncited"]


@pytest.mark.parametrize(
    "line", ["Fluids in shock. [2]", "May 500 ml of crystalloid be given over 15 minutes? [2]", "Is it for shock? [2]"]
)
def test_an_echo_or_a_question_is_not_supported(line: str) -> None:
    (check,) = check_answer(line, PASSAGES)
    assert (check.status, check.reasons) == ("unsupported", ("overlap",))


def test_a_quoted_question_is_supported() -> None:
    passage = Passage("Headache", "Questions to ask", "Is the neck stiff? Did it begin like a thunderclap?")
    for text in ("Is the neck stiff? [1]", "Is the neck stiff?"):
        assert [check.status for check in check_answer(text, [passage])] == ["supported"]


def test_the_words_of_the_heading_alone_are_no_claim() -> None:
    passage = Passage("Croup", "Treatment", "Most croup is treated at home. Steam is no use.")
    assert [check.status for check in check_answer("Croup is treated. [1]", [passage])] == ["unsupported"]
    assert [check.status for check in check_answer("Croup is treated at home. [1]", [passage])] == ["supported"]


def test_a_mark_that_names_no_passage_spoils_a_true_sentence() -> None:
    (check,) = check_answer("Give adrenaline 0.5 mg into the outer thigh of an adult. [1] [9]", PASSAGES)
    assert (check.cites, check.status, check.reasons) == ((1, 9), "unsupported", ("overlap",))


def test_offsets_point_at_each_sentence() -> None:
    answer = f"{FLUIDS.heading}\nÜber allem Ruhe. [2] Give 500 ml of crystalloid over 15 minutes. [2]"
    spans = [answer[check.start : check.end] for check in check_answer(answer, PASSAGES)]
    assert spans == ["Über allem Ruhe. [2]", "Give 500 ml of crystalloid over 15 minutes. [2]"]


def test_numbering_may_start_later() -> None:
    (check,) = check_answer("Do not let the patient stand up suddenly. [5]", PASSAGES, first=5)
    assert check.status == "supported"


def test_every_quote_of_the_starter_library_is_supported() -> None:
    for note in load_notes():
        for section in note.sections:
            passage = Passage(note.title, section.heading, section.text)
            quotes = [sentence.text for sentence in split_sentences(section.text)]
            checks = check_answer(quoted_answer(passage, 1, quotes), [passage])
            assert len(checks) == len(quotes), passage.heading
            assert {check.status for check in checks} == {"supported"}, passage.heading


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_checked_without_fault(answer: str) -> None:
    checks = check_answer(answer, PASSAGES)
    assert all(0 <= check.start < check.end <= len(answer) for check in checks)
    assert all((check.status == "unsupported") == bool(check.reasons) for check in checks)


@given(
    st.lists(st.sampled_from([*" [],.12\n", "[1]", "Rest. ", "Give 5 mg", " not ", "e.g. "]), max_size=30), st.data()
)
def test_checks_while_it_grows_are_those_of_the_whole(parts: list[str], data: st.DataObject) -> None:
    answer = "".join(parts)
    checks, told, place = AnswerChecks(PASSAGES), [], 0
    while place < len(answer):
        place += data.draw(st.integers(1, 6))
        told += checks.new(answer[:place])
    assert (*told, *checks.new(answer, ended=True)) == check_answer(answer, PASSAGES)
