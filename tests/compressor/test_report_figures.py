"""The figures and the page: the same bytes each time, what stands in them, and that a label stays inside its picture."""

import base64
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from compressor.report.canvas import COLOURS, ORDER, save_figure
from compressor.report.figures import RateCurve, SizeLine, curves_figure, rates_figure, size_figure, widths_figure
from compressor.report.page import Page

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.67, 0.8)
METHODS = (
    "random",
    "magnitude-down",
    "magnitude-all",
    "taylor",
    "activation",
    "flap global + bias",
    "obs 16 rounds + own",
)


def figures() -> dict[str, Figure]:
    lines = [SizeLine("dense", ((8.9e6, 19.3),), "dense"), SizeLine("ours", ((6.9e6, 19.5), (4.6e6, 21.9)), "ours")]
    lines += [SizeLine(name, ((6.9e6, 21.0 + i), (4.6e6, 30.0 + 4 * i)), "other") for i, name in enumerate(METHODS)]
    curve = RateCurve("healed on medquad", SHARES, tuple(19.0 * 2.0 ** (share**4) for share in SHARES))
    return {
        "size": size_figure(lines, "reference, medquad held out", "parameters, millions", 1e6),
        "rates": rates_figure({"medquad": [curve], "trials": [curve]}),
        "widths": widths_figure([640, 512, 448], 1024),
        "curves": curves_figure({"training": [(1, 4.0), (20, 2.2)], "tuning": [(0, 4.1), (20, 2.4)]}, "Healing"),
    }


@pytest.mark.parametrize("name", ["size", "rates", "widths", "curves"])
def test_a_figure_is_the_same_bytes_each_time_and_fits_80_mm(name: str, tmp_path: Path) -> None:
    paths = [save_figure(figures()[name], tmp_path / folder, name) for folder in ("one", "two")]
    for first, second in zip(*paths, strict=True):
        assert first.read_bytes() == second.read_bytes()
    root = ElementTree.parse(paths[0][0]).getroot()
    assert float(str(root.get("width")).removesuffix("pt")) == pytest.approx(80 / 25.4 * 72, abs=0.1)
    assert b"<dc:date>" not in paths[0][0].read_bytes()


@pytest.mark.parametrize("name", ["size", "rates", "widths", "curves"])
def test_every_text_lies_inside_the_picture(name: str) -> None:
    figure = figures()[name]
    figure.draw_without_rendering()
    box = figure.bbox
    for axes in figure.axes:
        for text in [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label, axes._left_title]:  # type: ignore[attr-defined]
            if text.get_text():
                extent = text.get_window_extent()
                assert extent.x0 >= box.x0 - 1, text.get_text()
                assert extent.x1 <= box.x1 + 1, text.get_text()


def test_published_figures_are_labelled_as_published() -> None:
    for name in ("size", "rates"):
        assert any("published, arXiv 2506.11105" in axes.get_title("left") for axes in figures()[name].axes)


def test_colours_differ_in_brightness_or_hue_for_colour_blind_readers() -> None:
    """Distances in the dichromat projection of Viénot, Brettel and Mollon 1999 (deuteranopia, linear RGB)."""
    matrix = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
    seen = []
    for name in ORDER[:4]:
        linear = [(int(COLOURS[name][at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
        seen.append([sum(weight * value for weight, value in zip(row, linear, strict=True)) for row in matrix])
    for index, first in enumerate(seen):
        for second in seen[index + 1 :]:
            assert sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5 > 0.08


def test_the_page_escapes_its_text_and_holds_its_pictures(tmp_path: Path) -> None:
    svg, _ = save_figure(figures()["widths"], tmp_path, "widths")
    page = Page("a < b & c")
    page.figures([(svg, 'a "caption"')])
    page.table(("x", "y"), [("<i>", "1"), ("ours", "2")], ours=(1,))
    page.items([])
    page.write(tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "a &lt; b &amp; c" in text
    assert "<i>" not in text
    assert '<tr class="ours"><td>ours</td>' in text
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert base64.b64decode(data) == svg.read_bytes()
    assert "<ul>" not in text
