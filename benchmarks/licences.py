"""Licences of what `pip install bedside` brings, from each distribution's metadata, and whether it may stand beside Apache-2.0.

`make package-check` writes them down in docs/licences.md, from an environment that holds nothing else.
"""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

FIT = re.compile(
    r"(MIT|MIT-0|BSD|BSD-[23]-Clause|0BSD|Apache-2\.0|ISC|PSF-2\.0|MPL-2\.0|Zlib|CC0-1\.0|Unlicense)", re.IGNORECASE
)
"""None of them asks anything of a program that only imports the library; MPL-2.0 is about changes to its own files."""
_SPELLED = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_BY_ITS_FILE = {"sqlcipher3": ("Zlib", "This software is provided 'as-is'")}
"""Distributions whose metadata names no licence, and words of the licence file that they carry."""
_INSTALLERS = ("bedside", "pip", "setuptools", "wheel")
_PAGE = """\
# Licences

What `pip install bedside` brings, by the metadata of each package; `make package-check` writes this page and fails where one
does not fit Apache-2.0. Bedside contains none of them: pip installs them beside it. Some carry libraries: cryptography OpenSSL
(Apache-2.0), sqlcipher3 SQLCipher (BSD-3-Clause) and OpenSSL, numpy OpenBLAS (BSD-3-Clause), llama-cpp-python llama.cpp (MIT).

| package | licence |
|---|---|
{rows}

Not among them: **jetson-stats** (AGPL-3.0), which only the extra `jetson` installs. Bedside starts it as a process of its own
(`device/sources/jtop_child.py`, the only file that imports it), reads lines from it, and measures without it where it is absent.
Who passes an installation with that extra on to others has to offer jetson-stats' source with it.
"""


class LicenceError(Exception):
    """A package's licence does not fit, or is not known."""


def licences(site_packages: Path) -> dict[str, str]:
    """The licence of every distribution in a folder, by name. Raises LicenceError for those that do not fit."""
    found = {each.name: licence_of(each) for each in distributions(path=[str(site_packages)])}
    wrong = {name: licence for name, licence in found.items() if not fits(licence)}
    if wrong:
        raise LicenceError("; ".join(f"{name} has the licence {licence!r}" for name, licence in sorted(wrong.items())))
    return {name: licence for name, licence in found.items() if name not in _INSTALLERS}


def licence_of(package: Distribution) -> str:
    """As an SPDX expression where that can be told; empty where nothing is said."""
    metadata = package.metadata
    if package.name in _BY_ITS_FILE:
        licence, words = _BY_ITS_FILE[package.name]
        return licence if words in _licence_file(package) else ""
    classifiers = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or () if "License ::" in each]
    named = [each for field in ("License-Expression", "License") for each in metadata.get_all(field) or ()]
    told = next((str(each) for each in [*named, *classifiers] if each and "\n" not in each), "")
    return _SPELLED.get(told, told)


def _licence_file(package: Distribution) -> str:
    named = [each for each in package.files or () if each.name.upper().startswith("LICEN")]
    return "\n".join(each.locate().read_text("utf-8") for each in named)  # type: ignore[attr-defined]  # a Path


def fits(expression: str) -> bool:
    """Whether all that an expression asks for, or one of its alternatives, may stand beside Apache-2.0."""
    alternatives = expression.split(" OR ")
    return any(all(FIT.fullmatch(part.strip("() ")) for part in each.split(" AND ")) for each in alternatives)


def page(found: dict[str, str]) -> str:
    """docs/licences.md."""
    names: Iterable[str] = sorted(found, key=str.lower)
    return _PAGE.format(rows="\n".join(f"| {name} | {found[name]} |" for name in names))
