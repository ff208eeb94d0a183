"""Figures over synthetic measurements: they draw, always the same, or refuse in one line."""

from itertools import combinations, pairwise

import pytest
import synthetic
import yaml
from matplotlib.text import Text
from render_figure import render
from sinkbench import catalogue, drawing, figures, policies
from sinkbench.errors import UserError
from sinkbench.labels import _spread
from sinkbench.store import write_table
from synthetic import SCHEMA, WORDS

CONFIG = yaml.safe_load((SCHEMA.parent.parent.parent / "config.yaml").read_text())
NEEDS = {"pareto": "quality", "position": "quality", "tpot": "speed", "memory": "speed"}


def draw(word: str, tmp_path, **options) -> list[bytes]:
    """The figure's files, made as the workflow makes them."""
    source, outputs = tmp_path / "m.parquet", [tmp_path / f"{word}.svg", tmp_path / f"{word}.pdf"]
    write_table(source, synthetic.measurements(**options), {})
    render(source, {"word": word, "title": "Title", "words": WORDS}, outputs)
    return [path.read_bytes() for path in outputs]


@pytest.mark.parametrize("word", CONFIG["figures"])
def test_every_figure_of_the_config_draws_and_twice_the_same(word, tmp_path):
    assert draw(word, tmp_path) == draw(word, tmp_path)


@pytest.mark.parametrize("word", figures.available())
def test_a_figure_without_its_numbers_is_refused_in_one_line(word, tmp_path):
    with pytest.raises(UserError, match=word) as error:
        draw(word, tmp_path, **{NEEDS[word]: False})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("word", figures.available())
def test_a_failed_run_is_left_out(word):
    frame = synthetic.measurements(failed={"window-0+64": "invalid: NaN"})
    figure = drawing.draw(figures.load(word), frame, WORDS)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "window 0+64" not in texts and any("streaming" in text for text in texts)


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_captions_ask_only_for_facts_that_exist(kind):
    for word in catalogue.available(kind):
        about = catalogue.describe(kind, word, CONFIG)
        assert about["title"] and "{" not in about["caption"]


def test_one_panel_per_corpus():
    frame = synthetic.measurements(corpora=("stdlib", "books"))
    assert len(drawing.draw(figures.load("position"), frame, WORDS).axes) == 2


def test_no_two_policies_share_a_colour():
    colours = [drawing.colour(policy) for policy in policies.available()]
    assert len(set(colours)) == len(colours)


def test_labels_at_the_edge_keep_their_distance_and_order():
    heights = _spread([0.1, 0.1, 0.11, 0.5, 0.99, 0.99], 0.05)
    gaps = [after - before for before, after in pairwise(heights)]
    assert min(gaps) >= 0.05 - 1e-9 and heights[0] >= 0 and heights[-1] <= 1 + 1e-9
    assert heights[3] == pytest.approx(0.5)


def test_labels_of_points_do_not_overlap():
    figure = drawing.draw(figures.load("pareto"), synthetic.measurements(), WORDS)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
