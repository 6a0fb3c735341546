"""Three calm themes; every colour of text has a contrast of at least 4.5 to 1 on its ground, and none has a meaning alone."""

from textual.theme import Theme

DARK, LIGHT, CONTRAST = "bedside-dark", "bedside-light", "bedside-contrast"
BY_NAME = {"dark": DARK, "light": LIGHT, "contrast": CONTRAST}


def _theme(name: str, *, dark: bool, ground: str, raised: str, text: str, **roles: str) -> Theme:
    """`roles` are the colours of the style sheet's own variables."""
    return Theme(
        name=name,
        dark=dark,
        background=ground,
        surface=raised,
        panel=raised,
        foreground=text,
        primary=roles["cite"],
        secondary=roles["dim"],
        accent=roles["cite"],
        warning=roles["caution"],
        error=roles["flag"],
        success=roles["good"],
        text_alpha=1.0,
        variables={
            **roles,
            "border": roles["cite"],
            "border-blurred": roles["dim"],
            "scrollbar": roles["dim"],
            "input-cursor-background": text,
            "input-cursor-foreground": ground,
            "block-cursor-background": roles["cite"],
            "block-cursor-foreground": ground,
        },
    )


THEMES = (
    _theme(
        DARK,
        dark=True,
        ground="#12161b",
        raised="#1b2129",
        text="#e1e7ec",
        dim="#9fabb6",
        cite="#86bdf0",
        caution="#f0bd66",
        good="#86d3a4",
        flag="#b3261e",
        flagged="#ffffff",
    ),
    _theme(
        LIGHT,
        dark=False,
        ground="#fbfbf8",
        raised="#eeeeea",
        text="#1a2026",
        dim="#525d67",
        cite="#0a559f",
        caution="#7d4a00",
        good="#1a6236",
        flag="#a3160f",
        flagged="#ffffff",
    ),
    _theme(
        CONTRAST,
        dark=True,
        ground="#000000",
        raised="#000000",
        text="#ffffff",
        dim="#e4e4e4",
        cite="#8fd8ff",
        caution="#ffe066",
        good="#8dffae",
        flag="#ffff00",
        flagged="#000000",
    ),
)
