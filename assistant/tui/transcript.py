"""The conversation on the screen: rows of turns, drawn line by line, so that a long answer costs no more than a short one.

The view stays where the reader scrolled; it follows what is written only while it stands at the end.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from assistant.plaintext import plain
from assistant.tui.markdown import Link
from assistant.tui.turn import Turn
from assistant.tui.turn_rows import turn_rows
from assistant.tui.wrapping import Piece, Row

_LEAST_WIDTH, _MOST_WIDTH = 8, 100
"""Longer rows are hard to read."""
_LINK = "bedside"
Versions = tuple[int, int]


class _Shown:
    """A turn with its rows, which are made anew when it, the width or its versions have changed."""

    def __init__(self, turn: Turn, versions: Versions) -> None:
        self.turn, self.versions = turn, versions
        self.rows: list[Row] = []
        self._made: tuple[int, int] | None = None

    def lay_out(self, width: int) -> int | None:
        """The first row that is another one now; None where all are as they were."""
        if self._made == (self.turn.version, width):
            return None
        self._made = (self.turn.version, width)
        former, self.rows = self.rows, turn_rows(self.turn, width, self.versions)
        pairs = zip(former, self.rows, strict=False)
        same = next((place for place, (old, new) in enumerate(pairs) if old is not new and old != new), None)
        return min(len(former), len(self.rows)) if same is None else same


class Transcript(ScrollView, can_focus=True):
    """Questions and answers. It takes the keys only by Tab: whoever clicks may be about to write."""

    FOCUS_ON_CLICK = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"transcript--{name}"
        for name in (
            "who", "dim", "notice", "flag", "cite", "strong", "em", "code", "heading", "unsupported", "warning", "good",
            "action", "user", "chosen",
        )
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("space", "page_down", "Page down", show=False),
        Binding("b", "page_up", "Page up", show=False),
        Binding("g", "scroll_home", "To the beginning", show=False),
        Binding("G", "scroll_end", "To the end", show=False),
        Binding("n", "choose(1)", "Next turn", show=False),
        Binding("p", "choose(-1)", "Turn before", show=False),
    ]
    chosen: reactive[int | None] = reactive(None)
    """The turn that keys act on; the last one where None is chosen."""

    class Linked(Message):
        """Something in a turn was clicked."""

        def __init__(self, turn: int, link: Link) -> None:
            super().__init__()
            self.turn, self.link = turn, link

    class Followed(Message):
        """The view came to the end, or left it."""

        def __init__(self, at_end: bool) -> None:
            super().__init__()
            self.at_end = at_end

    def __init__(self, welcome: Sequence[Row] = ()) -> None:
        super().__init__(id="transcript")
        self._shown: list[_Shown] = []
        self._starts: list[int] = [0]
        self._following = True
        self._welcome = list(welcome)
        self._styles: dict[str, Style] = {}
        self._moving = False
        self._base, self._columns = Style(), 0

    def show_turns(self, turns: Sequence[tuple[Turn, Versions]]) -> None:
        """Show these instead of all others, from the end."""
        kept = {id(shown.turn): shown for shown in self._shown}
        self._shown = []
        for turn, versions in turns:
            shown = kept.get(id(turn))
            self._shown.append(shown if shown is not None and shown.versions == versions else _Shown(turn, versions))
        self.chosen = None
        self._following = True
        self._starts = []  # not as it was, even where nothing is shown
        self.grown()
        self.refresh()

    def welcome(self, rows: Sequence[Row]) -> None:
        """What is shown where there is no turn."""
        self._welcome = list(rows)
        self.refresh()

    def grown(self) -> None:
        """Draw what has changed since the last time, and only that."""
        width, changed = self._row_width, None
        for place, shown in enumerate(self._shown):
            row = shown.lay_out(width)
            if row is not None and changed is None:
                changed = self._starts[place] + row if place < len(self._starts) else 0
        if changed is None and len(self._starts) == len(self._shown) + 1:
            return
        self._starts = [0, *accumulate(len(shown.rows) for shown in self._shown)]
        top = self.scroll_y
        if self.virtual_size.height != self._starts[-1]:
            self.virtual_size = Size(self.scrollable_content_region.width, self._starts[-1])
        if self._following:
            self._to(self.max_scroll_y)
        if self.scroll_y == top and changed is not None:
            self.refresh_lines(changed, max(self._starts[-1] - changed, 1))
        else:
            self.refresh()

    @property
    def _row_width(self) -> int:
        return min(max(self.scrollable_content_region.width - 1, _LEAST_WIDTH), _MOST_WIDTH)

    def _to(self, y: float) -> None:
        self._moving = True
        self.scroll_to(y=y, animate=False, force=True)
        self._moving = False

    def on_resize(self, event: Resize) -> None:
        """Keep the words at the top where they are, whatever the width."""
        at, within, start = self._anchor()
        self.grown()
        if self._following:
            self._to(self.max_scroll_y)
        if self._following or at is None:
            return
        rows = self._shown[at].rows
        if start is not None:
            within = (
                next((n for n, row in enumerate(rows) if row.start is not None and row.start > start), len(rows)) - 1
            )
        self._to(self._starts[at] + min(within, len(rows)))

    def _anchor(self) -> tuple[int | None, int, int | None]:
        """The turn at the top, the row of it, and the place of that row in the answer where it is part of it."""
        top = round(self.scroll_y)
        at = bisect_right(self._starts, top) - 1
        if not 0 <= at < len(self._shown):
            return None, 0, None
        within = top - self._starts[at]
        return at, within, self._shown[at].rows[within].start

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """A reader who leaves the end stays where he is."""
        super().watch_scroll_y(old_value, new_value)
        if not self._moving:
            self._follow(new_value >= self.max_scroll_y)

    def _follow(self, following: bool) -> None:
        if following != self._following:
            self._following = following
            self.post_message(self.Followed(following))

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self._follow(True)
        self._to(self.max_scroll_y)

    def stay(self) -> None:
        """Do not follow what is drawn next."""
        self._follow(False)

    def action_scroll_home(self) -> None:
        """To the beginning."""
        self._follow(self.max_scroll_y == 0)
        self._to(0)

    def action_scroll_end(self) -> None:
        """To the end, and stay there."""
        self.follow()

    def action_choose(self, step: int) -> None:
        """Choose the next turn, or the one before, and show where it begins."""
        if not self._shown:
            return
        at = len(self._shown) - 1 if self.chosen is None else self.chosen + step
        self.chosen = min(max(at, 0), len(self._shown) - 1)
        self._follow(False)
        self.scroll_to(y=self._starts[self.chosen], animate=False)
        self.refresh()

    def notify_style_update(self) -> None:
        """Another theme has other colours."""
        super().notify_style_update()
        self._styles.clear()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows in a part of the screen; what is the same for all of them is looked up once."""
        self._base, self._columns = self.rich_style, self.scrollable_content_region.width
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        place = y + round(self.scroll_y)
        if not self._shown:
            rows = self._welcome
            row, at = (rows[place] if place < len(rows) else Row()), None
        elif place >= self._starts[-1]:
            row, at = Row(), None
        else:
            at = bisect_right(self._starts, place) - 1
            row = self._shown[at].rows[place - self._starts[at]]
        # Everything was made harmless where it came in; here is the last place where that can be seen to.
        segments = [Segment(plain(piece.text).replace("\n", " "), self._style(piece, at)) for piece in row.pieces]
        if at is not None and at == self.chosen and place == self._starts[at]:
            segments.append(Segment("  ◂ chosen", self._named("chosen")))
        return Strip(segments).adjust_cell_length(self._columns, self._base).apply_style(self._base)

    def _style(self, piece: Piece, at: int | None) -> Style:
        style = self._named(piece.style)
        return style if piece.link is None else style + Style(meta={_LINK: (at, piece.link)})

    def _named(self, names: str) -> Style:
        if names not in self._styles:
            found = Style()
            for name in names.split():
                found += self.get_component_rich_style(f"transcript--{name}", partial=True)
            self._styles[names] = found
        return self._styles[names]

    def on_click(self, event: Click) -> None:
        """Marks and names of actions can be clicked."""
        if found := event.style.meta.get(_LINK):
            turn, link = found
            self.post_message(self.Linked(turn, link))
            event.stop()
