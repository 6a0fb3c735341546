"""A key wrapped by a secret: scrypt makes the secret slow to guess, AES-256-GCM tells a wrong one from a right one."""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from assistant.errors import WrongPassphraseError

KEY_BYTES = 32
_SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 16, 12, 16
_MOST_MEMORY_BYTES = 1 << 30  # a file from elsewhere must not take the machine down


@dataclass(frozen=True)
class Work:
    """What one guess costs: scrypt's parameters. These take 128 MiB and about half a second on a Raspberry Pi 5."""

    n: int = 1 << 17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        if self.n < 2 or self.n & (self.n - 1) or self.r < 1 or self.p < 1:
            raise ValueError("scrypt's n is a power of two above 1, r and p are at least 1")
        if 128 * self.n * self.r * self.p > _MOST_MEMORY_BYTES:
            raise ValueError(f"scrypt would take over {_MOST_MEMORY_BYTES >> 20} MiB")


@dataclass(frozen=True)
class WrappedKey:
    """A key that only its secret gives back."""

    work: Work
    salt: bytes
    nonce: bytes
    sealed: bytes

    def as_json(self) -> dict[str, Any]:
        """The table of a key file."""
        return {
            "scrypt": vars(self.work),
            "salt": b64encode(self.salt).decode(),
            "nonce": b64encode(self.nonce).decode(),
            "sealed": b64encode(self.sealed).decode(),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "WrappedKey":
        """From the table of a key file. Raises KeyError, TypeError or ValueError where it is not one."""
        work = fields["scrypt"]
        if any(type(work[name]) is not int for name in ("n", "r", "p")):
            raise TypeError("scrypt's parameters are whole numbers")
        salt, nonce, sealed = (b64decode(fields[name], validate=True) for name in ("salt", "nonce", "sealed"))
        if (len(salt), len(nonce), len(sealed)) != (_SALT_BYTES, _NONCE_BYTES, KEY_BYTES + _TAG_BYTES):
            raise ValueError("salt, nonce or sealed key has another length")
        return cls(Work(work["n"], work["r"], work["p"]), salt, nonce, sealed)


def wrap(key: bytes, secret: str, label: str, work: Work) -> WrappedKey:
    """Seal `key` under `secret`; `label` says what it is for, and cannot be changed afterwards."""
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(_derived(secret, salt, work)).encrypt(nonce, key, label.encode())
    return WrappedKey(work, salt, nonce, sealed)


def unwrap(wrapped: WrappedKey, secret: str, label: str) -> bytes:
    """The key. Raises WrongPassphraseError where secret or label are others than those of `wrap`."""
    derived = _derived(secret, wrapped.salt, wrapped.work)
    try:
        return AESGCM(derived).decrypt(wrapped.nonce, wrapped.sealed, label.encode())
    except InvalidTag:
        raise WrongPassphraseError("this does not open the history: check the keyboard and try again") from None


def _derived(secret: str, salt: bytes, work: Work) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=work.n, r=work.r, p=work.p).derive(
        secret.encode(errors="surrogatepass")
    )
