"""The starter library: short topic notes written for this project, read from the package.

A note is Markdown with a TOML front matter between `+++` lines and sections under `## ` headings. Forty-eight notes
calibrate the built-in recipes and twelve others evaluate them; the assistant searches all of them.
"""

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from models.errors import TextError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LICENCE = "Apache-2.0"
# Kept out of calibration and training so that the demo's perplexity is measured on notes that nothing has seen.
EVALUATION_IDS = frozenset(
    {
        "acute-abdomen", "acute-otitis-media", "atrial-fibrillation", "burns", "croup", "deep-vein-thrombosis",
        "hypothermia", "iron-deficiency-anaemia", "migraine", "oxygen-therapy", "penicillins", "pre-eclampsia",
    }
)  # fmt: skip
_CALIBRATION_COUNT = 48


@dataclass(frozen=True)
class NoteSection:
    """One section of a note: its heading and plain prose."""

    heading: str
    text: str


@dataclass(frozen=True)
class Note:
    """A topic note with the guideline it follows and the date of its last review (ISO 8601)."""

    id: str
    title: str
    kind: str
    keywords: tuple[str, ...]
    follows: str
    reviewed: str
    sections: tuple[NoteSection, ...]

    @property
    def text(self) -> str:
        """Title, headings and prose as plain text, one blank line between sections."""
        return "\n\n".join([self.title, *(f"{section.heading}\n{section.text}" for section in self.sections)])


@cache
def load_notes() -> tuple[Note, ...]:
    """All packaged notes, sorted by id. Raises TextError for a damaged note."""
    entries = [entry for entry in files("models.starter").joinpath("notes").iterdir() if entry.name.endswith(".md")]
    return tuple(sorted((parse_note(entry.read_text("utf-8"), entry.name) for entry in entries), key=lambda n: n.id))


def split_notes() -> tuple[tuple[Note, ...], tuple[Note, ...]]:
    """The notes for calibration (48) and, disjoint from them, for evaluation (12)."""
    notes = load_notes()
    calibrate = tuple(note for note in notes if note.id not in EVALUATION_IDS)[:_CALIBRATION_COUNT]
    return calibrate, tuple(note for note in notes if note.id in EVALUATION_IDS)


def parse_note(source: str, name: str) -> Note:
    """Read one note. Raises TextError naming `name` and what is wrong."""
    parts = source.split("+++\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise TextError(f"note {name} has no front matter between +++ lines; add one")
    try:
        meta = tomllib.loads(parts[1])
        fields = {key: str(meta[key]) for key in ("id", "title", "kind", "follows", "reviewed")}
        keywords = tuple(str(word) for word in meta["keywords"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise TextError(f"note {name} has a damaged front matter ({error}); correct it") from error
    sections = tuple(_section(block) for block in ("\n" + parts[2]).split("\n## ")[1:])
    if not sections:
        raise TextError(f"note {name} has no section; add '## Heading' lines")
    return Note(keywords=keywords, sections=sections, **fields)


def _section(block: str) -> NoteSection:
    heading, _, text = block.partition("\n")
    return NoteSection(heading.strip(), " ".join(text.split()))
