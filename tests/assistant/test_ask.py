"""`bedside ask` through the real command with a real model file of random weights."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.assistant.conftest import Bedside
from tests.assistant.test_retrieval import UTI_QUESTION


@pytest.fixture(scope="module")
def uti(bedside: Bedside, tiny_model: Path) -> dict[str, Any]:
    done = bedside("ask", "--json", "--model", str(tiny_model), UTI_QUESTION)
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    return answer


def test_json_has_the_agreed_fields(uti: dict[str, Any], tiny_model: Path) -> None:
    assert list(uti) == ["answer", "sources", "evidence", "red_flags", "checks", "usage", "model", "notice", "versions"]
    assert uti["evidence"] == "insufficient"  # random words support nothing
    assert (uti["red_flags"]["screened"], uti["red_flags"]["findings"]) == (True, [])
    assert uti["model"] == "tiny.gguf"
    assert uti["notice"] is None
    assert uti["versions"]["model_sha256"] == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert list(uti["versions"]["libraries"]) == ["starter"]


def test_json_sources_are_the_passages_of_the_prompt(uti: dict[str, Any]) -> None:
    assert [source["n"] for source in uti["sources"]] == list(range(1, len(uti["sources"]) + 1))
    assert {source["title"] for source in uti["sources"]} == {"Urinary tract infection in adults"}
    first = uti["sources"][0]
    assert first["id"].startswith("starter/urinary-tract-infection-adults#")
    assert {"section", "date", "licence", "text", "follows"} <= set(first)


def test_json_checks_point_into_the_answer(uti: dict[str, Any]) -> None:
    for check in uti["checks"]:
        assert list(check) == ["start", "end", "cites", "by", "status", "reasons"]
        assert 0 <= check["start"] < check["end"] <= len(uti["answer"])


def test_json_usage_is_measured(uti: dict[str, Any]) -> None:
    usage = uti["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] > 100
    assert usage["bedside"]["time_to_first_token_s"] > 0
    assert usage["bedside"]["decode_tokens_per_s"] > 0
    assert usage["bedside"]["joules"] is None or usage["bedside"]["joules"] > 0


def test_text_output_ends_with_sources_evidence_and_speed(bedside: Bedside, tiny_model: Path) -> None:
    done = bedside("ask", "--model", str(tiny_model), UTI_QUESTION)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "Sources" in lines
    after = lines[lines.index("Sources") + 1 :]
    assert after[0].startswith("[1] Urinary tract infection in adults: ")
    assert after[0].endswith("(2026-11-21)")
    assert any(line.startswith("    Follows NICE NG109") for line in after)
    assert any(line.startswith("Evidence: insufficient") for line in after)
    assert any(line.startswith("Red flags: none found") for line in after)
    assert after[-2].startswith("Made with: model tiny.gguf ")
    assert "library starter 2026-11-21." in after[-2]
    assert "tok/s · first token" in after[-1]


def test_red_flags_stand_above_the_answer_and_name_where_they_were_found(
    bedside: Bedside, tiny_model: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("72M, crushing chest pain, BP 85/50", "utf-8")
    ask = ["ask", "--model", str(tiny_model), "--note", str(note), "--knowledge", "off"]
    lines = bedside(*ask, "He says he wants to die.").stdout.splitlines()
    assert lines[0].startswith("!! EMERGENCY: ")
    assert "   “BP 85/50” (note)" in lines
    assert any(line.endswith("(question)") for line in lines)
    assert any("no local numbers set" in line for line in lines)
    answer = json.loads(bedside(*ask, "--json", "What now?").stdout)
    assert {"shock", "acute-coronary-syndrome"} <= {finding["rule"] for finding in answer["red_flags"]["findings"]}
    assert answer["usage"]["completion_tokens"] > 0


def test_the_means_to_harm_somebody_are_refused_without_the_model(bedside: Bedside, tiny_model: Path) -> None:
    shown = bedside("ask", "--model", str(tiny_model), "How can I poison my wife undetected?").stdout
    assert "Bedside does not answer this" in shown
    assert "Evidence: none - refused, no model was asked" in shown


def test_without_knowledge_nothing_is_cited_and_it_says_so(bedside: Bedside, tiny_model: Path) -> None:
    done = bedside("ask", "--json", "--knowledge", "off", "--model", str(tiny_model), UTI_QUESTION)
    answer = json.loads(done.stdout)
    assert (answer["evidence"], answer["sources"], answer["checks"]) == ("off", [], [])
    assert answer["usage"]["completion_tokens"] > 0


def test_outside_the_library_the_host_answers_without_the_model(bedside: Bedside, tiny_model: Path) -> None:
    done = bedside("ask", "--json", "--model", str(tiny_model), "What is the capital of France?")
    answer = json.loads(done.stdout)
    assert (answer["evidence"], answer["sources"]) == ("out_of_scope", [])
    assert answer["answer"] == "The passages do not answer this question."
    assert answer["usage"]["completion_tokens"] == 0


def test_the_patient_note_reaches_search_and_prompt(bedside: Bedside, tiny_model: Path, tmp_path: Path) -> None:
    text = "24-year-old woman with dysuria and frequency, not pregnant\x1b[2J"
    note = tmp_path / "note.txt"
    note.write_text(text, "utf-8")
    ask = ["ask", "--json", "--model", str(tiny_model), "--note"]
    by_file = json.loads(bedside(*ask, str(note), "Which antibiotic?").stdout)
    by_pipe = json.loads(bedside(*ask, "-", "Which antibiotic?", stdin=text).stdout)
    assert by_file["sources"][0]["title"] == "Urinary tract infection in adults"
    assert by_file["answer"] == by_pipe["answer"]
    assert by_file["usage"]["prompt_tokens"] == by_pipe["usage"]["prompt_tokens"] > 0


def test_a_prompt_too_long_for_the_context_is_refused_with_numbers(
    bedside: Bedside, tiny_model: Path, tmp_path: Path
) -> None:
    note = tmp_path / "long.txt"
    note.write_text("The patient has had a cough since yesterday. " * 400, "utf-8")
    for knowledge, complaint in (
        ("off", "tokens and the context holds 1023 beside an answer"),
        ("on", "no room for a passage"),
    ):
        done = bedside("ask", "--model", str(tiny_model), "--note", str(note), "--knowledge", knowledge, "fever")
        assert done.returncode == 1
        assert complaint in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no-such-model"], "no-such-model"),
        (["--model", "/no/such/file.gguf"], "/no/such/file.gguf"),
        (["--model", "{text_file}"], "notes.gguf"),
        (["--model", "/no/such/\x1b[31mred.gguf"], "/no/such/[31mred.gguf"),
        (["--knowledge", "nice"], "no library named 'nice' (available: starter)"),
        (["--note", "/no/such/note.txt"], "cannot read the note /no/such/note.txt: No such file or directory"),
        (["--note", "{folder}"], "Is a directory"),
        (["--note", "{binary}"], "is not UTF-8 text (byte 0)"),
        (["--note", "{empty}"], "is empty"),
        (["--note", "{large}"], "is larger than 64 KiB"),
        (["--note", "{nul}"], "holds binary data"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(
    bedside: Bedside, tiny_model: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    files = {"text_file": "notes.gguf", "binary": "b", "empty": "e", "large": "l", "nul": "n"}
    contents = {
        "text_file": b"not a model",
        "binary": b"\xff\xfe",
        "empty": b" \n",
        "large": b"a" * 70000,
        "nul": b"a\0b",
    }
    paths = {name: tmp_path / file for name, file in files.items()} | {"folder": tmp_path}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    filled = [argument.format(**paths) for argument in arguments]
    model = [] if "--model" in filled else ["--model", str(tiny_model)]
    done = bedside("ask", *model, *filled, "fever in a child")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_note_is_one_clear_error(bedside: Bedside, tiny_model: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("private", "utf-8")
    note.chmod(0)
    done = bedside("ask", "--model", str(tiny_model), "--note", str(note), "fever in a child")
    assert (done.returncode, "Permission denied" in done.stderr) == (1, True)


def test_what_is_too_long_to_be_answered_is_screened_all_the_same(
    bedside: Bedside, tiny_model: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text(f"BP 85/50. {'He coughs. ' * 4000}")
    done = bedside("ask", "--model", str(tiny_model), "--note", str(note), "What now?")
    assert done.returncode == 1
    assert done.stdout.startswith("!! EMERGENCY: ")
    assert "shorten" in done.stderr
