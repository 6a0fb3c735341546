"""`make screenshot`: the picture in the README, of the real terminal with the reference model on a private server."""

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.events import Key
from textual.pilot import Pilot

from assistant.tui.app import ChatApp
from assistant.tui.link import Link
from assistant.tui.privacy import Privacy

TARGET = Path(__file__).parent.parent / "docs" / "terminal.svg"
QUESTION = "Swollen calf, BP 85/50. How is DVT treated?"
SIZE = (132, 36)
_FONTS = "DejaVu Sans Mono, Menlo, Consolas, monospace"


async def take() -> str:
    """Ask, open a passage, and look."""
    with tempfile.TemporaryDirectory() as folder:
        app = ChatApp(Link(None, "reference"), "on", Privacy(Path(folder) / "history"))
        async with app.run_test(size=SIZE) as pilot:
            await _until(pilot, lambda: bool(app.session.readings.model))
            for character in QUESTION:
                app.post_message(Key(character, character))
            await pilot.press("enter")
            await _until(pilot, lambda: bool(app.session.turns) and not app.session.is_running)
            await pilot.press("ctrl+o")
            await pilot.pause()
            return app.export_screenshot(title="bedside chat")


async def _until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    while not holds():
        await pilot.pause(0.05)


def main() -> int:
    """Write the picture, which fetches no font from anywhere."""
    drawn = re.sub(r"@font-face \{[^}]*\}", "", asyncio.run(take()))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(drawn.replace("Fira Code", _FONTS), "utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
