"""Several libraries searched as if they were one, against one that holds the documents of all."""

import re
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.knowledge.index import Index
from assistant.knowledge.library import Document, LibraryPassage, passage_id, starter_documents
from assistant.knowledge.search import search
from assistant.knowledge.volume import Volume

WORDS = "gout urate joint toe pain rest cold colchicine".split()
# Of equal length, so that the average is that of every part: only rarity can tell a part from the whole.
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=5, max_size=5).map(" ".join), min_size=2, max_size=12)


def document(library: str, name: str, title: str, *texts: str) -> Document:
    passages = tuple(
        LibraryPassage(passage_id(library, name, place, text), title, "", text, "2024", "CC0", "", "", f"line {place}")
        for place, text in enumerate(texts, start=1)
    )
    return Document(name, title, (), passages)


@settings(max_examples=30, deadline=None)
@given(TEXTS, st.integers(1, 11), st.sets(st.sampled_from(WORDS), min_size=1))
def test_scores_over_parts_are_those_over_the_whole(texts: list[str], cut: int, words: set[str]) -> None:
    documents = [document("a", f"d{place}", "title", text) for place, text in enumerate(texts)]
    cut = min(cut, len(documents) - 1)
    whole = Index([Volume.of_documents("a", documents)])
    parts = Index([Volume.of_documents("a", documents[:cut]), Volume.of_documents("b", documents[cut:])])
    asked = sorted(words)
    expected, found = (
        {index.document(number).id: score for number, score in ranked(index, asked).items()} for index in (whole, parts)
    )
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def ranked(index: Index, words: list[str]) -> dict[int, float]:
    among = {number for word in words for number in index.holders(word) or ()}
    return index.rank_documents(words, [], among)


@pytest.mark.parametrize("words", ["gout", "joint", "rest of the joint"])
def test_what_the_only_documents_say_still_counts(words: str) -> None:
    """Of one or two documents a word in all of them says nothing to FTS5; a person who asks for it wants them."""
    documents = [document("own", "a", "Gout", "Rest the joint."), document("own", "b", "Cold toes", "Rest.")]
    assert search(Index([Volume.of_documents("own", documents[:1])]), words)
    assert search(Index([Volume.of_documents("own", documents)]), words)[0].passage.title == "Gout"


def test_a_small_library_is_not_drowned_by_a_large_one() -> None:
    texts = ["Croup and its treatment are mentioned.", *["Something else is said here."] * 20] * 20
    many = [document("large", f"d{n}", f"Disease {n}", text) for n, text in enumerate(texts)]
    index = Index([Volume.of_documents("starter", starter_documents()), Volume.of_documents("large", many)])
    hits = search(index, "How is croup treated?")
    assert hits[0].passage.id.startswith("starter/croup#")


def test_passages_are_found_by_the_id_that_they_have_now() -> None:
    gout = document("own", "gout", "Gout", "Rest.", "Cold.")
    index = Index([Volume.of_documents("starter", starter_documents()), Volume.of_documents("own", [gout])])
    for passage in gout.passages:
        assert index.passage(passage.id) == passage
    changed = passage_id("own", "gout", 2, "Warmth.")
    others = ("own/gout#3@0000", "own/croup#1@0000", "none/gout#1@0000", "own/gout", "", "own/gout#0@00", changed)
    assert [index.passage(name) for name in others] == [None] * len(others)


def test_names_and_holders_go_over_all_libraries() -> None:
    volumes = [Volume.of_documents(name, [document(name, "gout", f"Asthma {name}", "Rest.")]) for name in ("a", "b")]
    index = Index(volumes)
    assert index.near("asthmma") == ("asthma",)
    assert {index.document(number).title for number in index.holders("rest") or ()} == {"Asthma a", "Asthma b"}
    assert len(index.named("asthma")) == 2
    assert index.named("rest") == frozenset()


def test_many_threads_may_ask_at_once() -> None:
    index = Index([Volume.of_documents("starter", starter_documents())])
    expected = search(index, "How is croup treated?")
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.extend(search(index, "How is croup treated?") for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80


def test_a_version_tells_content_and_nothing_else() -> None:
    gout, croup = document("own", "a", "Gout", "Rest the joint."), document("own", "b", "Croup", "Cold air.")
    version = Volume.of_documents("own", [gout, croup]).version
    assert re.fullmatch(r"2024\.[0-9a-f]{8}", version)
    assert Volume.of_documents("other", [croup, gout]).version == version
    others = [
        [gout],
        [gout, document("own", "b", "Croup", "Warm air.")],
        [gout, document("own", "c", "Croup", "Cold air.")],
    ]
    versions = {version, *(Volume.of_documents("own", some).version for some in others)}
    assert len(versions) == 4
    assert Index([Volume.of_documents("own", [gout])]).versions == {"own": Volume.of_documents("own", [gout]).version}


def test_one_text_in_two_libraries_is_found_once() -> None:
    texts = ("Rest the joint.", "Colchicine for the pain.")
    own, other = (Volume.of_documents(name, [document(name, "a", "Gout", *texts)]) for name in ("own", "other"))
    found = search(Index([own, other]), "How is gout treated?")
    assert sorted(hit.passage.text for hit in found) == sorted(texts)
    pill = Volume.of_documents("pill", [document("pill", "b", "Gout of the toe", *texts)])
    assert len(search(Index([own, pill]), "How is gout treated?")) > len(found)
