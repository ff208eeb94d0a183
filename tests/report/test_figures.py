"""Figures over synthetic measurements: they draw, always the same, or refuse in one line."""

import os
import subprocess
import sys
from itertools import combinations, pairwise

import pytest
import synthetic
import yaml
from helpers import ROOT
from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from sinkbench import registry
from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import NotMeasured
from sinkbench.analysis.tradeoff import tradeoff
from sinkbench.report import catalogue, figures
from sinkbench.report.figures import _palette, _style
from sinkbench.report.figures._labels import _spread
from synthetic import FIELDS, SCHEMA

CONFIG = yaml.safe_load((SCHEMA.parent.parent.parent / "config.yaml").read_text())
NEEDS = {"pareto": "quality", "position": "quality", "tpot": "speed", "memory": "speed", "profile": "speed"}
NEEDS |= {"compile": "speed", "attention": "speed", "speculation": "speed", "quantization": "speed"}
NEEDS |= {"roofline": "speed", "stream": "speed", "recovered": "quality", "phase": "quality"}
NEEDS |= {"recall": "quality", "sinks": "quality"}
WITH_ALL = {"refresh": True, "ablations": True, "drafts": True, "quantized": True}


def draw(word: str, tmp_path, **options) -> list[bytes]:
    """The figure's files, made as the workflow makes them."""
    outputs = [tmp_path / f"{word}.svg", tmp_path / f"{word}.pdf"]
    frame = synthetic.measurements(**options, **WITH_ALL)
    figures.render_one(word, {"title": "Title", "fields": FIELDS}, frame, outputs)
    return [path.read_bytes() for path in outputs]


def texts_in(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("ladder", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("word", registry.available("report/figures"))
def test_every_figure_draws_and_twice_the_same(word, ladder, tmp_path):
    assert draw(word, tmp_path, ladder=ladder) == draw(word, tmp_path, ladder=ladder)


@pytest.mark.parametrize("word", registry.available("report/figures"))
def test_a_figure_without_its_numbers_says_so(word, tmp_path, capsys):
    svg, pdf = draw(word, tmp_path, **{NEEDS[word]: False})
    assert pdf.startswith(b"%PDF") and b"Title: not drawn, since this study has no numbers for it" in svg
    assert capsys.readouterr().out.startswith("NOTHING DRAWN Title: not drawn")


@pytest.mark.parametrize("word", registry.available("report/figures"))
def test_a_figure_whose_runs_all_failed_says_why(word, tmp_path):
    frame = synthetic.measurements(**WITH_ALL).drop_duplicates(["method", "engine", "batch", "corpus"])
    lost = frame.assign(value=float("nan"), low=None, high=None, status="failed: KeyError: '$x$'")
    outputs = [tmp_path / "figure.svg", tmp_path / "figure.pdf"]
    figures.render_one(word, {"title": "Title", "fields": FIELDS}, lost, outputs)
    said = figures._missing(lost)
    assert len(said) == 13 and said[-1].startswith("and ")
    assert said[0].endswith(": failed: KeyError: '$x$'") and said[0].encode() in outputs[0].read_bytes()


@pytest.mark.parametrize("word", registry.available("report/figures"))
def test_a_failed_run_is_left_out(word):
    frame = synthetic.measurements(failed={"window-0+64": "invalid: NaN"}, **WITH_ALL)
    figure = _style.draw(registry.load("report/figures", word), frame, FIELDS)
    texts = texts_in(figure)
    shown = {"quantization": "int8", "phase": "select", "sinks": "first 8"}.get(word, "streaming")
    assert not any("window 0+64" in text for text in texts) and any(shown in text for text in texts)


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_captions_ask_only_for_facts_that_exist(kind):
    for word in registry.available(catalogue.FOLDERS[kind]):
        about = catalogue.job_spec(kind, word, CONFIG)
        assert about["title"] and "{" not in about["caption"]


def test_one_panel_per_corpus():
    frame = synthetic.measurements(corpora=("stdlib", "books"))
    assert len(_style.draw(registry.load("report/figures", "position"), frame, FIELDS).axes) == 2


def test_all_that_has_a_colour_is_told_apart():
    colours = [_palette.colour(policy) for policy in registry.available("policies")] + list(
        _palette.PARTS.values()
    )
    for one, other in combinations(map(to_rgb, colours), 2):
        assert sum((mine - yours) ** 2 for mine, yours in zip(one, other, strict=True)) ** 0.5 > 0.15


def test_a_policy_without_a_colour_takes_a_further_one_and_leaves_the_others_theirs(monkeypatch):
    before = {policy: _palette.colour(policy) for policy in registry.available("policies")}
    monkeypatch.setattr(registry, "available", lambda folder: ["another", *before])
    assert _palette.colour("another") in _palette.FURTHER
    assert {policy: _palette.colour(policy) for policy in before} == before


def colours_in(figure) -> set[str]:
    """Colours of all lines, markers and filled shapes."""
    lines, patches = figure.findobj(Line2D), figure.findobj(Patch)
    found = [line.get_color() for line in lines] + [patch.get_facecolor() for patch in patches]
    return {to_hex(colour).upper() for colour in found}


@pytest.mark.parametrize("word", registry.available("report/figures"))
def test_figures_take_their_colours_from_the_palette(word):
    figure = _style.draw(
        registry.load("report/figures", word), synthetic.measurements(ladder=True, **WITH_ALL), FIELDS
    )
    assigned = {*_palette.POLICIES.values(), *_palette.PARTS.values(), _palette.GREY, "#000000", "#FFFFFF"}
    assert colours_in(figure) <= {*assigned, _style.STYLE["grid.color"]}


def test_labels_at_the_edge_keep_their_distance_and_order():
    heights = _spread([0.1, 0.1, 0.11, 0.5, 0.99, 0.99], 0.05)
    gaps = [after - before for before, after in pairwise(heights)]
    assert min(gaps) >= 0.05 - 1e-9 and heights[0] >= 0 and heights[-1] <= 1 + 1e-9
    assert heights[3] == pytest.approx(0.5)


def test_lines_are_named_where_they_end():
    figure = registry.load("report/figures", "speculation").draw(
        synthetic.measurements(speed=True, drafts=True), FIELDS
    )
    figure.draw_without_rendering()
    for axes in figure.axes:
        to_axes = axes.transData + axes.transAxes.inverted()
        ends = [line.get_xydata()[-1].tolist() for line in axes.lines if line.get_marker() in _style.MARKERS]
        assert sorted(list(name.xy) for name in axes.texts) == sorted(ends)
        shifts = [name.xyann[1] - to_axes.transform(name.xy)[1] for name in axes.texts]
        assert sum(shifts) == pytest.approx(0, abs=1e-9)  # _spread keeps the mean off the borders


def test_labels_of_points_do_not_overlap():
    figure = _style.draw(registry.load("report/figures", "pareto"), synthetic.measurements(), FIELDS)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_the_roofline_needs_no_perplexity_and_has_every_run_of_one_stream_with_its_dagger():
    frame = synthetic.measurements(quality=False, ladder=True, busy=("streaming-4+508.fused",))
    streaming, dense = _style.draw(registry.load("report/figures", "roofline"), frame, FIELDS).axes
    names = [label.get_text() for label in streaming.get_yticklabels()]
    assert names == ["fused int4", "fused int8_mlp", "fused", "graph", "compiled", "eager", "paper"]
    assert [label.get_text() for label in dense.get_yticklabels()] == ["fused", "hf_eager", "hf"]
    numbers = [text.get_text() for text in streaming.texts]
    assert numbers[0] == "0.30 ms, MBU 67 %" and numbers[2] == "0.60\N{DAGGER} ms, MBU 83 %"


@pytest.mark.parametrize("slowest_ms", [3.0, 300.0])
def test_the_numbers_of_the_slowest_run_stay_in_the_roofline(slowest_ms):
    frame = synthetic.measurements(ladder=True)
    slow = synthetic.edited(frame, "tpot_ms", slowest_ms, 0.2 * slowest_ms, engine="eager")
    slow = slow.replace({"engine": {"eager": "an_engine_of_a_very_long_name"}})
    figure = _style.draw(registry.load("report/figures", "roofline"), slow, FIELDS)
    figure.draw_without_rendering()
    assert all(text.get_window_extent().x1 < axes.bbox.x1 for axes in figure.axes for text in axes.texts)


def test_the_roofline_does_without_dense_attention():
    frame = synthetic.measurements(failed={"dense.hf": "unavailable: out of memory"})
    assert len(_style.draw(registry.load("report/figures", "roofline"), frame, FIELDS).axes) == 1


def test_the_stream_shows_flat_as_flat_and_needs_long_streams():
    frame = synthetic.measurements(ladder=True)
    for axes in _style.draw(registry.load("report/figures", "stream"), frame, FIELDS).axes:
        low, high = axes.get_ylim()
        assert high / low >= 10 * (1 - 1e-9)
    short = frame[(frame["position"] <= 2048) | frame["position"].isna()]
    with pytest.raises(NotMeasured, match="factor of 10"):
        registry.load("report/figures", "stream").draw(short, FIELDS)


def test_the_pareto_figure_names_the_frontier_and_the_baselines_and_no_other_point():
    frame = synthetic.measurements(ladder=True, refresh=True)
    (axes,) = _style.draw(registry.load("report/figures", "pareto"), frame, FIELDS).axes
    found = tradeoff(frame, "stdlib")
    best = {_style.short_name(row["method"], frame) for row in found.frontier}
    compared = {"streaming 4+508", "window 0+512", "recompute 4+508", "recompute 0+512"}
    names = [text.get_text() for text in axes.texts if text.get_text()]
    assert set(names) == best | compared and len(names) == len(set(names))
    assert len(found.points) > len(names)


def test_the_pareto_figure_has_policies_and_engines_in_its_legend():
    figure = _style.draw(
        registry.load("report/figures", "pareto"), synthetic.measurements(ladder=True), FIELDS
    )
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {
        *("recompute", "window", "streaming"),
        *("on fresh", "on eager", "on fused", "dense on fused"),
    }


def test_a_name_has_the_settings_of_a_method_only_where_it_must():
    frame = synthetic.measurements(refresh=True, quantized=True)
    names = {_style.short_name(name, frame) for name in frame["method"].unique()}
    assert len(names) == frame["method"].nunique()
    assert "select 4+92+32" in names and "streaming 4+508 int8" in names


@pytest.mark.parametrize("budgets", [{128}, {128, 256}])
def test_what_is_recovered_is_drawn_by_document_or_by_budget(budgets):
    frame = synthetic.measurements(refresh=True)
    frame = frame[(frame["family"] != "refresh") | frame["budget"].isin(budgets)]
    axes = _style.draw(registry.load("report/figures", "recovered"), frame, FIELDS).axes
    ticks = [label.get_text() for label in axes[0].get_yticklabels()]
    assert (ticks == list(synthetic.DOCUMENTS)) == (len(budgets) == 1)


@pytest.mark.parametrize("word", ["tpot", "memory"])
def test_other_figures_show_each_method_on_its_fastest_engine_only(word):
    frame = synthetic.measurements(ladder=True)
    names = [
        text
        for text in texts_in(_style.draw(registry.load("report/figures", word), frame, FIELDS))
        if "4+508" in text
    ]
    assert {"streaming 4+508 fused"} <= set(names)
    assert not any(word in name for name in names for word in ("eager", "graph", "paper"))


def test_whether_compiling_pays_is_said_only_beside_the_uncompiled_step():
    failed = {"streaming-4+508.static": "failed: RuntimeError"}
    pays = []
    for frame in (synthetic.measurements(**WITH_ALL), synthetic.measurements(**WITH_ALL, failed=failed)):
        texts = texts_in(_style.draw(registry.load("report/figures", "compile"), frame, FIELDS))
        pays.append([text for text in texts if text.startswith("16 s, 2 graphs")])
    with_it, without = pays
    assert len(with_it) == len(without) == 2
    assert all("pays after" in text for text in with_it)
    assert without == ["16 s, 2 graphs"] * 2


def test_ticks_keep_their_distance_on_a_logarithmic_axis():
    assert _style._apart([2048, 4096, 8192, 10000, 1000000]) == [2048, 8192, 1000000]
    assert _style._apart([512]) == [512]
    shown = [[t for t in _style._locator(to).tick_values(1, to) if 1 <= t <= to] for to in (5, 50, 2e3)]
    assert shown == [[1, 2, 3, 4, 5], [1, 2, 5, 10, 20, 50], [1, 10, 100, 1000]]
    wide = [t for t in _style._locator(1e3, wide=True).tick_values(1, 1e3) if 1 <= t <= 1e3]
    assert wide == [1, 3, 10, 30, 100, 300, 1000]
    assert len([t for t in _style._locator(1.9e3).tick_values(1, 1.9e3) if 1 <= t <= 1.9e3]) == 10


def test_what_is_recovered_is_the_share_of_the_gap_at_the_same_budget():
    rows = recovered(synthetic.measurements(refresh=True)).set_index(["variant", "budget", "document"])
    select = "select 25 % chosen r4 h508 q1 p7"
    assert set(rows.index.get_level_values("variant")) == {
        select,
        "reprefill r32 h508",
    }  # no streaming at 112
    small, full, change = 15.90, 14.05, -0.06
    expected = 100 * -small * change / (small - full)
    assert rows.loc[(select, 128, "turtle"), "value"] == pytest.approx(expected)
    assert (rows["low"] < rows["value"]).all() and (rows["value"] < rows["high"]).all()


def test_a_failed_refresh_is_left_out():
    failed = {"reprefill-4+124-r32-h508": "invalid: NaN"}
    frame = synthetic.measurements(refresh=True, failed=failed)
    for word in ("recovered", "phase"):
        texts = texts_in(_style.draw(registry.load("report/figures", word), frame, FIELDS))
        assert any("select" in text for text in texts) and not any("reprefill" in text for text in texts)


def test_every_quantized_run_is_beside_the_line_of_its_engine():
    figure = _style.draw(
        registry.load("report/figures", "quantization"), synthetic.measurements(quantized=True), FIELDS
    )
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    shown = {
        (label.get_text().replace(" ", "_"), engine)
        for engine, axes in panels.items()
        for label in axes.get_yticklabels()
    }
    assert shown == set(synthetic.GAINS)
    for (word, engine), (speedup, _) in synthetic.GAINS.items():
        texts = {text.get_text() for text in panels[engine].texts}
        assert f"{speedup:.2f}" in texts, (word, engine)
        assert any(line.get_xdata()[0] == 1 for line in panels[engine].lines)


def test_a_format_that_could_not_run_has_a_word_and_no_dot():
    frame = synthetic.measurements(quantized=True)
    failed = frame["quantization"].eq("torchao_int8") & frame["engine"].eq("eager")
    frame = frame[~failed | frame["metric"].eq("tpot_ms")].copy()
    frame.loc[frame["quantization"].eq("torchao_int8") & frame["engine"].eq("eager"), "status"] = (
        "unavailable: torchao"
    )
    figure = _style.draw(registry.load("report/figures", "quantization"), frame, FIELDS)
    eager = next(axes for axes in figure.axes if axes.get_title(loc="left") == "eager")
    assert " unavailable" in {text.get_text() for text in eager.texts}
    assert "0.50" not in {text.get_text() for text in eager.texts}


def test_each_panel_of_attention_kernels_says_where_it_was_timed():
    frame = synthetic.measurements(ladder=True, **WITH_ALL)
    figure = _style.draw(registry.load("report/figures", "attention"), frame, FIELDS)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(titles) == 3 and all("; position " in title for title in titles)


RENDER = """
import sys
sys.path[:0] = [{tests!r}, {scripts!r}]
from pathlib import Path
import synthetic
from sinkbench.report import figures
spec = {{"title": "Title", "fields": synthetic.FIELDS}}
figures.render_one("pareto", spec, synthetic.measurements(), [Path("pareto.svg"), Path("pareto.pdf")])
"""
SURROUNDINGS = [
    {},
    {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    {"MPLBACKEND": "nonsense"},
    {"MPLCONFIGDIR": "/proc/none", "HOME": "/proc/none"},
    {"MATPLOTLIBRC": "elsewhere"},
    {"LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "0"},
]
RC = (
    "text.usetex: True\nlines.marker: x\nfont.size: 30\nsvg.fonttype: none\naxes.formatter.use_locale: True\n"
)


def test_figures_are_the_same_whatever_the_user_has_set(tmp_path):
    """In processes side by side, since matplotlib reads all of this when it is imported."""
    script, running = RENDER.format(tests=str(ROOT / "tests"), scripts=str(ROOT / "scripts")), []
    for index, extra in enumerate(SURROUNDINGS):
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / "elsewhere").write_text(RC)
        if index == 1:
            (folder / "matplotlibrc").write_text(RC)
        command = [sys.executable, "-c", script]
        running.append(subprocess.Popen(command, cwd=folder, env=os.environ | extra, stderr=subprocess.PIPE))
    for process in running:
        assert process.wait() == 0, process.stderr.read()
    for name in ("pareto.svg", "pareto.pdf"):
        assert len({(tmp_path / str(index) / name).read_bytes() for index in range(len(SURROUNDINGS))}) == 1
