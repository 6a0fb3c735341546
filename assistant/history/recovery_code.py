"""The recovery code: 120 random bits in 25 letters and digits that can be read aloud, copied by hand and typed back.

Crockford's base 32 has neither I, L, O nor U; the last letter is a check on the others, so that a slip of the pen is told
apart from the code of another history.
"""

import hashlib
import re
import secrets

from assistant.errors import WrongPassphraseError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS, _GROUP = 24, 5
_MISREAD = str.maketrans("OILU", "011V")


def new_recovery_code() -> str:
    """A code that nobody has seen: five groups of five."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
    return _shown(letters + _check_letter(letters))


def read_recovery_code(written: str) -> str:
    """The code as it was shown, from one that somebody typed: case, spaces, dashes and look-alike letters do not matter.

    Raises:
        WrongPassphraseError: it cannot be a recovery code; nothing needs to be tried.
    """
    letters = re.sub(r"[\s\-\u2010-\u2015\u2212_.]", "", written).upper().translate(_MISREAD)
    if len(letters) != _LETTERS + 1 or set(letters) - set(_ALPHABET):
        raise WrongPassphraseError(
            f"a recovery code has {_LETTERS + 1} letters and digits, in groups of five; this has {len(letters)}"
            f"{'' if len(letters) != _LETTERS + 1 else ', some of which no code has'}: compare it with what you noted"
        )
    if _check_letter(letters[:_LETTERS]) != letters[_LETTERS]:
        raise WrongPassphraseError("a letter of this recovery code is wrong: compare it with what you noted")
    return _shown(letters)


def _shown(letters: str) -> str:
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def _check_letter(letters: str) -> str:
    return _ALPHABET[hashlib.sha256(letters.encode()).digest()[0] % len(_ALPHABET)]
