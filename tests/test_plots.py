"""Plots can be told apart without colour, say the same thing twice, and hold no foreign address."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest
from tests.report_record import curves

from tocsin_eval import plots
from tocsin_eval.bootstrap import Interval

FOUND = curves(0.8)
DRAWN: dict[str, Callable[[], str]] = {
    "precision and recall": lambda: plots.plot_precision_recall(
        {0: FOUND["precision_recall"], 3: FOUND["precision_recall"]}, {0: (0.8, 0.7)}, 0.25
    ),
    "roc": lambda: plots.plot_roc({0: FOUND["roc"], 1: FOUND["roc"]}, {1: (0.1, 0.9)}),
    "reliability": lambda: plots.plot_reliability({0: FOUND["reliability"]}),
    "thresholds": lambda: plots.plot_thresholds(FOUND["thresholds"], 0.41),
    "learning curve": lambda: plots.plot_learning_curve(
        [1000, 2000],
        {
            name: [Interval(value=value, low=value - 0.1, high=value + 0.1) for value in values]
            for name, values in {"precision": (0.5, 0.6), "F1": (0.4, 0.5)}.items()
        },
    ),
    "positions": lambda: plots.plot_positions({0: [0.0, 0.5, 1.0], 7: [0.2]}),
}


def test_a_value_outside_of_its_own_interval_is_drawn() -> None:
    # Of few articles a perfect score lies above all resamples; matplotlib draws no negative bar,
    # and the hours of an ablation would end in a traceback.
    svg = plots.plot_learning_curve([8, 16], {"F1": [Interval(value=1.0, low=0.4, high=0.8)] * 2})
    assert ElementTree.fromstring(svg).tag.endswith("svg")


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_well_formed_and_the_same_each_time(name: str) -> None:
    # A date or a random id would make two reports of one record differ.
    svg = DRAWN[name]()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert svg == DRAWN[name]()
    assert not re.search(r"\b20\d\d-\d\d", svg)


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_names_no_address_but_those_of_svg_itself(name: str) -> None:
    svg = DRAWN[name]()
    addresses = set(re.findall(r"https?://[^\"' <]+", svg))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<!DOCTYPE" not in svg


def test_letters_stay_letters() -> None:
    # Drawn as outlines they could be neither searched nor read in a script the font lacks.
    assert ">stored 0.41</text>" in DRAWN["thresholds"]()


def test_subjects_differ_in_more_than_colour() -> None:
    # On a grey printer, and to one man in twelve, colour says nothing.
    styles = [plots.style_of(number) for number in range(18)]
    assert len({style.dashes for style in styles}) == 18
    assert len({style.marker for style in styles[:6]}) == 6
    assert len({style.colour for style in styles[:6]}) == 6


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_line_stands_out_from_white() -> None:
    # WCAG 2.2, 1.4.11: what is needed to read a graphic has a contrast of 3 to 1.
    styles = [plots.style_of(number) for number in range(6)] + [style for _, style in plots.TRADES]
    assert all(1.05 / (_luminance(style.colour) + 0.05) >= 3 for style in styles)


def test_the_user_s_own_settings_of_matplotlib_change_nothing() -> None:
    import matplotlib

    before = DRAWN["roc"]()
    with matplotlib.rc_context({"svg.fonttype": "path", "axes.grid": False, "font.size": 30.0}):
        assert DRAWN["roc"]() == before
        assert matplotlib.rcParams["font.size"] == 30.0


def test_drawing_needs_no_window_system() -> None:
    # pyplot would choose a backend of the desktop, and keep every figure in memory.
    code = "import sys; import tocsin_eval.plots; print('matplotlib.pyplot' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
