"""`bedside history` as a person types it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from assistant.__main__ import main
from assistant.history.conversation import Conversation
from assistant.history.place import database_file
from assistant.history.vault import Vault
from assistant.history.views import print_conversation, print_conversations
from tests.assistant.history.conftest import PASSPHRASE, Home, question, talk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process, with the passphrase in a file: exit code, output, errors."""
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\nnot this\n", "utf-8")
    monkeypatch.setenv("BEDSIDE_HISTORY", str(home.folder))
    for settings in ("QUIET", "OFFLINE"):  # they would outlive the test
        monkeypatch.setattr(f"assistant.surroundings.{settings}", {})

    def run_here(*arguments: str, unlock: bool = True) -> tuple[int, str, str]:
        secret = ["--passphrase-file", str(tmp_path / "passphrase")] if unlock else []
        monkeypatch.setattr(sys, "argv", ["bedside", "history", *arguments, *secret])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), *capsys.readouterr()

    return run_here


@pytest.fixture
def said(run: Run) -> Callable[..., str]:
    """Runs the command, which has to end well: what it printed."""

    def said_here(*arguments: str, unlock: bool = True) -> str:
        code, out, err = run(*arguments, unlock=unlock)
        assert (code, err) == (0, "")
        return out

    return said_here


Said = Callable[..., str]


@pytest.fixture
def ids(home: Home) -> list[str]:
    """Two conversations, the second with what a terminal could take for commands."""
    with closing(home.open()) as history:
        return [
            talk(history, "Sprained ankle?", "Rest.").id,
            talk(history, "Gout \x1b[2Jor \u202enot?", "Colchicine.").id,
        ]


def test_from_listing_to_removing(said: Said, ids: list[str], tmp_path: Path) -> None:
    assert re.findall("^[0-9a-f]{8}", said("list"), re.MULTILINE) == [ids[1][:8], ids[0][:8]]
    assert "Rest." in said("show", ids[0][:8])
    assert said("search", "colch").splitlines()[0].startswith(ids[1][:8])
    assert said("tag", ids[0][:8], "bed 4", "--title", "Ankle") == ""
    assert "Ankle" in said("list", "--tag", "bed 4")
    assert "1 conversation in" in said("export", ids[0][:8], "--out", str(tmp_path / "a.md"))
    assert "2 conversations in" in said("export", "--all", "--format", "json", "--out", str(tmp_path / "a.json"))
    assert said("remove", ids[0][:8]) == "removed: Ankle\n"
    assert said("import", str(tmp_path / "a.json")) == "new: 1 conversation, 2 messages\n"
    assert "Ankle" in said("list")
    assert said("purge", "--all", "--yes") == "removed for good: 2 conversations\n"
    assert said("list") == "no conversation\n"
    assert "exported: 2" in said("audit")


@pytest.mark.parametrize("tags", [["x" * 200], ["several words " * 14] * 9, ["t"]])
def test_ids_and_times_are_whole_beside_long_tags(
    said: Said, ids: list[str], tags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    said("tag", ids[0], *tags, "--title", "Ankle " * 30)
    lines = said("list").splitlines()
    for each in ids:
        assert any(re.match(each[:8] + r"  20\d\d-\d\d-\d\d \d\d:\d\d  ", line) for line in lines)
    assert max(map(len, lines)) <= 60
    assert "Ankle" in "".join(lines)


def test_what_is_not_named_stays(said: Said, run: Run, ids: list[str]) -> None:
    said("tag", ids[0], "bed 4", "gout")
    said("tag", ids[0], "--title", "Ankle")
    assert said("list", "--tag", "bed 4").split()[-4:] == ["Ankle", "bed", "4,", "gout"]
    assert "give tags, or --title" in run("tag", ids[0])[2]
    assert run("tag", ids[0], "--title", " ")[0] == 1
    said("tag", ids[0], "")
    assert said("list", "--tag", "bed 4") == "no conversation\n"
    assert "Ankle" in said("list")


def test_programs_read_json(said: Said, ids: list[str]) -> None:
    listed = json.loads(said("list", "--json"))["conversations"]
    assert [each["id"] for each in listed] == ids[::-1]
    shown = json.loads(said("show", ids[0], "--json"))
    assert [message["text"] for message in shown["messages"]] == ["Sprained ankle?", "Rest."]
    [hit] = json.loads(said("search", "colchicine", "--json"))["hits"]
    assert hit["conversation"]["id"] == ids[1]
    assert hit["snippet"][slice(*hit["marked"][0])] == "Colchicine"
    assert {event["what"] for event in json.loads(said("audit", "--json"))["events"]} == {"opened", "created"}
    status = json.loads(said("status", "--json", unlock=False))
    assert status["encrypted"]
    assert status["size_bytes"] > 0


def test_nothing_that_was_kept_commands_the_terminal(said: Said, home: Home, ids: list[str]) -> None:
    for arguments in (["list"], ["show", ids[1]], ["search", "gout"], ["remove", ids[1]]):
        printed = said(*arguments)
        assert "\x1b" not in printed
        assert "\u202e" not in printed


def test_nothing_commands_the_terminal_even_where_it_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    nasty = "\x1b[2J\u202e\x9b"
    told = replace(question(nasty), role="assistant", details={"notice": nasty, "sources": [{"title": nasty}]})
    conversation = Conversation("c" * 32, nasty, told.written_at, told.written_at, (nasty,), told.id)
    print_conversation(conversation, [told])
    print_conversations([conversation])
    assert not {"\x1b", "\u202e", "\x9b"} & set(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Asia/Tokyo", datetime(9999, 12, 31, 23, 59, tzinfo=timezone.utc)),
        ("America/New_York", datetime(1, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_a_time_that_the_zone_does_not_have_is_shown(
    home: Home, said: Said, monkeypatch: pytest.MonkeyPatch, zone: str, at: datetime
) -> None:
    with closing(home.open()) as history:
        asked = replace(question("gout"), written_at=at)
        history.take_in([(Conversation("c" * 32, "gout", at, at, (), asked.id), [asked])], "imported")
    try:
        with monkeypatch.context() as there:
            there.setenv("TZ", zone)
            time.tzset()
            for arguments in (["list"], ["show", "cc"], ["search", "gout"]):
                assert f"{at.year}-{at:%m-%d}" in said(*arguments).replace("000", "")
    finally:
        time.tzset()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "zz"], 1, "no conversation begins with 'zz'; see bedside history list"),
        (["show", ""], 1, "no conversation begins"),
        (["show", "\x1b]0;x"], 1, "no conversation begins"),
        (["export", "--out", "x"], 2, "name conversations, or give --all"),
        (["purge", "--yes"], 2, "give --older-than DAYS or --all"),
        (["purge", "--all", "--older-than", "3"], 2, "give --older-than DAYS or --all"),
        (["purge", "--older-than", "-1"], 2, "--older-than"),
        (["retention", "soon"], 2, "give 1 to 36500 days, or off"),
        (["retention", "0"], 2, "give 1 to 36500 days, or off"),
        (["retention", "9" * 5000], 2, "give 1 to 36500 days, or off"),
        (["import", "nowhere.json"], 1, "cannot read nowhere.json"),
        (["restore", "nowhere"], 1, "with --force it is kept aside"),
        (["restore", "nowhere", "--force"], 1, "no file nowhere"),
        (["list", "--passphrase-file", "nowhere"], 1, "cannot read nowhere"),
    ],
)
def test_mistakes_end_in_one_line(run: Run, ids: list[str], arguments: list[str], code: int, message: str) -> None:
    ended, out, err = run(*arguments, unlock="nowhere" not in arguments[2:])
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert "\x1b" not in err


def test_age_is_told_by_a_clock_that_is_right_only(said: Said, run: Run, ids: list[str], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    code, out, err = run("purge", "--older-than", "0", "--yes", "--sysroot", str(root))
    assert (code, out) == (1, "")
    assert "nothing was purged: this machine's clock" in err
    assert "nothing was removed now" in said("retention", "30", "--sysroot", str(root))
    (root / "run/systemd/timesync").mkdir(parents=True)
    (root / "run/systemd/timesync/synchronized").touch()
    assert said("retention", "--sysroot", str(root)) == "kept 30 days after the last message\n"
    assert said("retention", "off", "--sysroot", str(root)) == "kept for ever\n"
    assert said("purge", "--older-than", "0", "--yes", "--sysroot", str(root)) == "removed for good: 2 conversations\n"


def test_backup_and_restore(said: Said, ids: list[str], tmp_path: Path) -> None:
    said("backup", str(tmp_path / "backup"))
    said("purge", "--all", "--yes")
    assert "the former history is in" in said("restore", str(tmp_path / "backup"), "--force")
    assert len(json.loads(said("list", "--json"))["conversations"]) == 2


def test_a_wrong_passphrase_and_a_lost_database_are_said(run: Run, home: Home, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("wrong wrong wrong", "utf-8")
    code, _, err = run("list")
    assert (code, err) == (1, "error: this does not open the history: check the keyboard and try again\n")
    (tmp_path / "passphrase").write_text(PASSPHRASE, "utf-8")
    database_file(home.folder).unlink()
    code, _, err = run("list")
    assert code == 1
    assert "is missing" in err
    assert not database_file(home.folder).exists()


def test_a_forgotten_passphrase(said: Said, run: Run, home: Home, ids: list[str], tmp_path: Path) -> None:
    for name, text in (("code", home.code), ("new", "a new passphrase"), ("newer", "the newest passphrase")):
        (tmp_path / name).write_text(f"{text}\r\n", "utf-8")
    recover = ["recover", "--code-file", str(tmp_path / "code"), "--new-passphrase-file", str(tmp_path / "new")]
    out = said(*recover, unlock=False)
    [code] = re.findall(r"^ +((?:[0-9A-Z]{5}-){4}[0-9A-Z]{5})$", out, re.MULTILINE)
    assert home.vault.unlock_by_code(code) == home.vault.unlock("a new passphrase") == home.key
    with closing(home.open()) as history:
        assert [event.what for event in history.events(3)] == ["opened", "recovered", "opened"]
    assert run(*recover, unlock=False)[0] == 1
    change = ["--passphrase-file", str(tmp_path / "new"), "--new-passphrase-file", str(tmp_path / "newer")]
    assert "recovery code is the same" in said("passphrase", *change, unlock=False)
    assert home.vault.unlock("the newest passphrase") == home.vault.unlock_by_code(code) == home.key


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._ours, theirs = os.openpty()
        # Whoever leads a session and opens a terminal first has it to himself.
        on_terminal = ["sh", "-c", 'exec "$@" <>"$TERMINAL" >&0 2>&0', "sh"]
        self.process = subprocess.Popen(
            [*on_terminal, sys.executable, "-W", "error", "-m", "assistant", "history", *arguments],
            env={**os.environ, "BEDSIDE_HISTORY": str(folder), "TERMINAL": os.ttyname(theirs)},
            start_new_session=True,
        )
        self._theirs = theirs  # held until the process has it too
        self.shown = ""

    def type_after(self, prompt: str, text: str) -> None:
        while prompt not in self.shown.rpartition("\n")[2]:
            self.shown += os.read(self._ours, 4096).decode()
        time.sleep(0.05)  # the echo goes off after the prompt comes
        self.shown += "\n"
        os.write(self._ours, text.encode())

    def end(self) -> tuple[int, str]:
        os.close(self._theirs)
        while True:
            try:
                read = os.read(self._ours, 4096)
            except OSError:  # the other side is closed
                break
            self.shown += read.decode()
        os.close(self._ours)
        return self.process.wait(30), self.shown


def test_a_passphrase_is_typed_unseen(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    terminal = Terminal(folder, "passphrase")
    terminal.type_after("New passphrase: ", "pässword one\n")
    terminal.type_after("The same once more: ", "pässword one\n")
    code, shown = terminal.end()
    assert code == 0
    assert "ssword" not in shown
    [recovery] = re.findall(r"(?:[0-9A-Z]{5}-){4}[0-9A-Z]{5}", shown)
    assert Vault(folder).unlock("pässword one") == Vault(folder).unlock_by_code(recovery)


def test_two_that_differ_and_one_that_is_short_set_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "history", "passphrase")
    terminal.type_after("New passphrase: ", "password one\n")
    terminal.type_after("The same once more: ", "password two\n")
    code, shown = terminal.end()
    assert (code, "the two passphrases differ; nothing was changed" in shown) == (1, True)
    terminal = Terminal(tmp_path / "history", "passphrase")
    terminal.type_after("New passphrase: ", "short\n")
    code, shown = terminal.end()
    assert (code, "at least 8 characters" in shown) == (1, True)
    assert not (tmp_path / "history").exists()


@pytest.mark.parametrize("arguments", [["list"], ["purge", "--all"]])
def test_who_leaves_at_the_prompt_changes_nothing(home: Home, ids: list[str], arguments: list[str]) -> None:
    terminal = Terminal(home.folder, *arguments)
    if arguments == ["list"]:
        terminal.type_after("Passphrase: ", "\x03")
    else:
        terminal.type_after("Passphrase: ", f"{PASSPHRASE}\n")
        terminal.type_after("[y/N]: ", "n\n")
    code, shown = terminal.end()
    assert code == 130
    assert "Traceback" not in shown
    with closing(home.open()) as history:
        assert len(history.conversations(-1)) == 2


def test_without_a_terminal_it_says_what_to_give(home: Home) -> None:
    command = [sys.executable, "-W", "error", "-m", "assistant", "history", "list"]
    environment: dict[str, Any] = {**os.environ, "BEDSIDE_HISTORY": str(home.folder)}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no terminal to type it on; give --passphrase-file FILE\n"


def test_a_folder_that_others_may_look_into_is_said(
    said: Said, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "chmod" not in said("status", unlock=False)
    home.folder.chmod(0o755)
    assert f"(mode 755), though not read the history; close it: chmod 700 {home.folder}\n" in said(
        "status", unlock=False
    )
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    chosen.chmod(0o755)
    monkeypatch.setenv("BEDSIDE_HISTORY", str(chosen))
    assert f"chmod 700 {chosen}\n" in said("passphrase", "--new-passphrase-file", str(tmp_path / "passphrase"))


def test_before_there_is_a_passphrase(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_HISTORY", str(tmp_path / "none"))
    code, _, err = run("list")
    assert (code, "set a passphrase first: bedside history passphrase" in err) == (1, True)
    assert "no passphrase is set" in run("status", unlock=False)[1]
    assert not (tmp_path / "none").exists()
