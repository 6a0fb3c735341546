"""What is said of a package's licence, and which may not stand beside Apache-2.0."""

from pathlib import Path

import pytest

from benchmarks.licences import LicenceError, fits, licences, page


@pytest.mark.parametrize(
    ("expression", "fit"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND Zlib", True),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0", False),
        ("", False),
    ],
)
def test_every_part_or_one_alternative_has_to_fit(expression: str, fit: bool) -> None:
    assert fits(expression) is fit


def installed(folder: Path, name: str, *lines: str) -> None:
    place = folder / f"{name}-1.0.dist-info"
    place.mkdir()
    place.joinpath("METADATA").write_text("\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines]))


def test_a_licence_is_read_from_wherever_the_package_tells_it(tmp_path: Path) -> None:
    installed(tmp_path, "by-expression", "License-Expression: Apache-2.0", "License: something else")
    installed(tmp_path, "by-classifier", "Classifier: License :: OSI Approved :: MIT License")
    installed(tmp_path, "by-word", "License: Apache 2.0")
    found = licences(tmp_path)
    assert found == {"by-expression": "Apache-2.0", "by-classifier": "MIT", "by-word": "Apache-2.0"}
    assert "| by-word | Apache-2.0 |" in page(found)


def test_a_package_that_does_not_fit_or_says_nothing_is_named(tmp_path: Path) -> None:
    installed(tmp_path, "copyleft", "License: AGPL-3.0")
    installed(tmp_path, "silent")
    with pytest.raises(LicenceError, match=r"copyleft has the licence 'AGPL-3.0'; silent has the licence ''"):
        licences(tmp_path)
