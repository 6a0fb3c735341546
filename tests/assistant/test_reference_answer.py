"""The built-in model answers the worked example, out of the box, from the packaged library."""

import json
from pathlib import Path

import pytest

import models
from tests.assistant.conftest import Bedside
from tests.assistant.test_retrieval import UTI_QUESTION

pytestmark = pytest.mark.skipif(
    not list((Path(models.__file__).parent / "reference").glob("*-q4_0.gguf")),
    reason="the reference model is not in this checkout",
)


def test_the_worked_example_is_answered_by_quoting_the_library(bedside: Bedside) -> None:
    done = bedside("ask", "--json", UTI_QUESTION)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["model"] == "reference"
    assert answer["notice"] == "reference model: not for clinical use"
    assert {source["title"] for source in answer["sources"]} == {"Urinary tract infection in adults"}
    assert answer["evidence"] == "sufficient"
    assert answer["usage"]["bedside"]["finish_reason"] == "stop"


def test_the_last_line_says_what_the_model_is(bedside: Bedside) -> None:
    done = bedside("ask", UTI_QUESTION)
    assert done.stdout.splitlines()[-1].endswith("reference model: not for clinical use")


def test_it_is_not_asked_about_what_the_library_lacks(bedside: Bedside) -> None:
    answer = json.loads(bedside("ask", "--json", "What is the capital of France?").stdout)
    assert answer["evidence"] == "out_of_scope"
    assert answer["notice"] == "reference model: not for clinical use"
