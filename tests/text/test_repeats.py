"""Texts in which a passage occurs twice: what they are made of, and where their passages lie."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.recompute import Policy as Recompute
from sinkbench.text.repeats import context_tokens, draw, is_scored, scored_positions, text_tokens

SHORTER = 5  # of the distances that are tried


@st.composite
def probes(draw_value):
    """Documents of distinct ids, of which one at least holds a text, and arguments of `draw`."""
    tokens = draw_value(st.integers(1, 6))
    distance = draw_value(st.integers(tokens + SHORTER, 40))
    needed = text_tokens(distance, tokens)
    lengths = [needed + draw_value(st.integers(0, 60))]
    lengths += draw_value(st.lists(st.integers(1, 120), max_size=3))
    documents = {f"d{index}": 1000 * index + np.arange(length) for index, length in enumerate(lengths)}
    return documents, distance, tokens, draw_value(st.integers(1, 12)), draw_value(st.integers(0, 5))


@given(probes())
def test_a_text_repeats_its_passage_at_the_distance_and_the_control_differs_in_nothing_else(probe):
    documents, longest, tokens, *_ = probe
    for passage in draw(*probe):
        for distance in (longest, longest - SHORTER):
            repeated, control = passage.texts(distance)
            assert len(repeated) == len(control) == text_tokens(distance, tokens)
            first = slice(context_tokens(tokens), context_tokens(tokens) + tokens)
            second = slice(first.start + distance, first.stop + distance)
            assert second.stop == len(repeated)
            assert (repeated[first] == repeated[second]).all() and (control[second] == repeated[second]).all()
            assert set(np.flatnonzero(repeated != control)) == set(range(first.start, first.stop))
            own = documents[passage.document]
            assert (control[: first.start] == own[: first.start]).all()
            assert not {*control[first]} & {*control[: first.start], *control[first.stop :]}
            assert len({*repeated}) == len(repeated) - tokens and {*control} <= {*own}


@given(probes())
def test_passages_lie_apart_and_the_draw_depends_on_the_seed_alone(probe):
    documents, _, tokens, wanted, _ = probe
    passages = draw(*probe)
    assert 1 <= len(passages) <= wanted
    for name in documents:
        starts = sorted(each.start for each in passages if each.document == name)
        assert all(np.diff(starts) >= tokens)
    again = draw(*probe)
    assert [(each.document, each.start) for each in passages] == [
        (each.document, each.start) for each in again
    ]


def test_documents_that_hold_the_text_take_turns_and_others_give_none():
    documents = {"short": np.arange(47), "some": np.arange(56), "long": np.arange(400)}
    counts = [each.document for each in draw(documents, 40, 4, 10, 0)]
    assert counts == ["some"] * 2 + ["long"] * 8  # room for two that do not overlap
    assert not draw(documents, 400, 4, 10, 0)
    starts = {seed: [each.start for each in draw(documents, 40, 4, 10, seed)] for seed in range(3)}
    assert len(set(map(tuple, starts.values()))) == 3


def test_the_scored_positions_predict_the_passage():
    text = np.arange(text_tokens(9, 3))
    assert list(text[[t + 1 for t in scored_positions(9, 3)]]) == [12, 13, 14]
    assert is_scored(Dense(15), 9, 3) and not is_scored(Dense(14), 9, 3)
    assert not is_scored(Recompute(budget=4, sinks=0, samples=2, first_position=4), 9, 3)
