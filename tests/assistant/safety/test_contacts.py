"""The operator's numbers: none is made up, and a wrong file is refused in a line."""

import re
from pathlib import Path

import pytest

from assistant.errors import ContactsError
from assistant.safety.contacts import FILE_NAME, Contact, read_contacts


def test_without_a_file_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    assert read_contacts() == ()
    (tmp_path / FILE_NAME).write_text(
        '[[contact]]\nname = "Crisis team"\nnumber = "+44 0123/456-789"\nhours = "9 to 5"\n'
    )
    assert read_contacts() == (Contact("Crisis team", "+44 0123/456-789", "9 to 5"),)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "no [[contact]]"),
        ("[[contact]]\nname = 'A'\n", "'number' is missing"),
        ("[[contact]]\nname = 'A'\nnumber = 'call us'\n", "no telephone number"),
        ("[[contact]]\nname = ''\nnumber = '116 123'\n", "not a short line"),
        ('[[contact]]\nname = "A\\u001b[2J"\nnumber = "116 123"\n', "not a short line"),
        ("[[contact]]\nname = 'A'\nnumber = 116123\n", "not str"),
        ("[[contact]]\nname = 'A'\nnumber = '116 123'\n" * 9, "keep the 8"),
        ("[contact", "cannot read"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "c.toml").write_text(content)
    with pytest.raises(ContactsError, match=re.escape(fault)) as raised:
        read_contacts(tmp_path / "c.toml")
    assert "c.toml" in str(raised.value)


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ContactsError, match="cannot read"):
        read_contacts(tmp_path / "none.toml")
