"""Checks while an answer grows are those of the whole answer, however it comes in pieces."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.library import LibraryPassage
from assistant.server.grounding import GroundedText

PASSAGE = LibraryPassage(
    "starter/croup#1@0", "Croup", "Treatment", "Give dexamethasone once. Keep the child calm.", "2026-01-01", "", ""
)
PARTS = st.sampled_from(
    [
        "Give dexamethasone once.", "Keep the child calm.", "Dr. Smith agrees, e.g. at night.", "0.6 mg/kg.", "Is it?",
        " [1]", "[1]", "[2]", " [1][1]", "\n", "\n\n", " ", "[", "]", "[12", "(A b.)", " and", "Croup: Treatment", "x",
    ]
)  # fmt: skip


@given(st.lists(PARTS, max_size=12), st.randoms(use_true_random=False))
def test_no_sentence_is_judged_before_its_marks(parts: list[str], random: Random) -> None:
    answer = "".join(parts)
    whole = GroundedText((PASSAGE,), "How is croup treated?")
    whole.push(answer)
    wanted = whole.new_checks(ended=True)
    grown, told, place = GroundedText((PASSAGE,), "How is croup treated?"), [], 0
    while place < len(answer):
        step = random.randint(1, 6)
        grown.push(answer[place : place + step])
        place += step
        told += grown.new_checks()
    told += grown.new_checks(ended=True)
    assert told == wanted
