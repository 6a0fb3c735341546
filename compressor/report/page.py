"""index.html: one file with its tables and figures inside, nothing fetched from anywhere."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from compressor.storage import write_text

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 1.5px solid #222; }
tr.ours td { font-weight: 600; color: #0072b2; }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: 0; } figure img { width: 23rem; max-width: 100%; }
figcaption { font-size: .8rem; color: #555; max-width: 23rem; }
p.note { font-size: .85rem; color: #444; } .unmet { color: #d55e00; } .met { color: #007a59; }
"""


class Page:
    """A page that is put together from top to bottom."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts = [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        """Start a part."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def note(self, text: str) -> None:
        """A paragraph in small print."""
        self._parts.append(f'<p class="note">{escape(text)}</p>')

    def items(self, lines: Sequence[str]) -> None:
        """A list."""
        if lines:
            self._parts.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], ours: Sequence[int] = ()) -> None:
        """A table; rows whose index is in `ours` stand out."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = ""
        for index, row in enumerate(rows):
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
            body += f'<tr class="ours">{cells}</tr>' if index in ours else f"<tr>{cells}</tr>"
        self._parts.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def figures(self, pictures: Sequence[tuple[Path, str]]) -> None:
        """SVG files side by side, each with its caption, inlined."""
        shown = []
        for path, caption in pictures:
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            source = f"data:image/svg+xml;base64,{data}"
            text = escape(caption, quote=True)
            shown.append(f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>')
        self._parts.append(f'<div class="figures">{"".join(shown)}</div>')

    def write(self, path: Path) -> None:
        """Write the file. Raises StorageError."""
        body = "\n".join(self._parts)
        write_text(
            path,
            f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self._title)}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}\n</body>\n</html>\n",
        )
