"""The built-in model answers the worked example, out of the box, from the packaged library."""

import json

from tests.assistant.conftest import Bedside
from tests.assistant.test_retrieval import UTI_QUESTION


def test_the_worked_example_is_answered_by_quoting_the_library(bedside: Bedside) -> None:
    done = bedside("ask", "--json", UTI_QUESTION)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["model"] == "reference"
    assert answer["notice"] == "reference model: not for clinical use"
    assert {source["title"] for source in answer["sources"]} == {"Urinary tract infection in adults"}
    headings = {f"{source['title']}: {source['section']}" for source in answer["sources"]}
    assert answer["answer"].splitlines()[0] in headings
    # The model is small and may garble a quote: then the status has to say so.
    supported = [check["status"] == "supported" for check in answer["checks"]]
    assert supported
    assert answer["evidence"] == "sufficient" or not all(supported)
    assert answer["usage"]["bedside"]["finish_reason"] == "stop"


def test_a_plain_question_is_quoted_word_by_word(bedside: Bedside) -> None:
    answer = json.loads(bedside("ask", "--json", "How is DVT treated?").stdout)
    assert answer["evidence"] == "sufficient"
    quoted = answer["answer"].splitlines()[1].split(" [")[0]
    assert any(quoted in source["text"] for source in answer["sources"])


def test_insufficient_evidence_leads_to_the_passages(bedside: Bedside) -> None:
    question = "What are the danger signs of croup?"
    answer = json.loads(bedside("ask", "--json", question).stdout)
    shown = " ".join(bedside("ask", question).stdout.split())
    texts = [" ".join(source["text"].split()) in shown for source in answer["sources"]]
    assert texts == [answer["evidence"] == "insufficient"] * len(texts)


def test_the_last_line_says_what_the_model_is(bedside: Bedside) -> None:
    done = bedside("ask", UTI_QUESTION)
    assert done.stdout.splitlines()[-1].endswith("reference model: not for clinical use")


def test_it_is_not_asked_about_what_the_library_lacks(bedside: Bedside) -> None:
    answer = json.loads(bedside("ask", "--json", "What is the capital of France?").stdout)
    assert answer["evidence"] == "out_of_scope"
    assert answer["notice"] == "reference model: not for clinical use"
