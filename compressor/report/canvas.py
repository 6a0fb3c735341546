"""How every figure looks: 80 mm wide, colours that colour-blind readers tell apart, direct labels, the same bytes each time."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from compressor.storage import write_atomic

MM = 1 / 25.4
WIDTH_MM = 80.0
PNG_DPI = 300
COLOURS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "ochre": "#B07A00",
    "grey": "#767676",
    "black": "#222222",
}
"""Okabe and Ito's palette, its yellow darkened so that thin lines show."""
ORDER = ("blue", "orange", "green", "purple", "sky", "ochre")
SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "axes.edgecolor": COLOURS["black"],
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "svg.hashsalt": "bedside",
    "svg.fonttype": "path",
}


def _settings() -> AbstractContextManager[None]:
    # matplotlib types its keys as a list of literals, which a plain dictionary is not.
    return matplotlib.rc_context(cast(Any, SETTINGS))


@contextmanager
def new_figure(*heights_mm: float) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of stacked panels, titles and labels within their heights, under the house's settings."""
    with _settings():
        figure = Figure(figsize=(WIDTH_MM * MM, sum(heights_mm) * MM), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(heights_mm), 1, squeeze=False, height_ratios=heights_mm)
        yield figure, [row[0] for row in axes]


def save_figure(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name.svg` and `name.png`; the same figure gives the same bytes. Raises StorageError."""
    paths = (folder / f"{name}.svg", folder / f"{name}.png")
    with _settings():
        for path, metadata in zip(paths, ({"Date": None, "Creator": None}, {"Software": None}), strict=True):
            content = BytesIO()
            figure.savefig(content, format=path.suffix[1:], dpi=PNG_DPI, metadata=metadata)
            write_atomic(path, lambda partial, content=content: _write(partial, content))  # type: ignore[misc]
    return paths


def _write(path: Path, content: BytesIO) -> None:
    path.write_bytes(content.getvalue())


def spread(wanted: Iterable[float], gap: float) -> list[float]:
    """Heights near `wanted` and not below 0, at least `gap` apart, in the same order: direct labels without overlap."""
    values = list(wanted)
    order = sorted(range(len(values)), key=lambda index: values[index])
    groups: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(values[index])
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            last = groups.pop()
            centres.pop()
            groups[-1] = groups[-1] + last
            centres[-1] = sum(values[member] for member in groups[-1]) / len(groups[-1])
    placed = [0.0] * len(values)
    floor = 0.0
    for members, centre in zip(groups, centres, strict=True):
        lowest = max(centre - gap * (len(members) - 1) / 2, floor)
        for place, member in enumerate(members):
            placed[member] = lowest + gap * place
        floor = lowest + gap * len(members)
    return placed
