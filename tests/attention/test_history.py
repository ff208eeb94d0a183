"""A trail holds the last of what was appended, however it came."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sinkbench.attention.history import HEADROOM, History, LayerHistories


@settings(deadline=None)
@given(most=st.integers(0, 12), counts=st.lists(st.integers(0, 15), min_size=1, max_size=40))
def test_a_trail_holds_the_last_tokens(most, counts):
    whole, trail = torch.arange(float(sum(counts))).reshape(1, -1, 1).repeat(2, 1, 3), History(most)
    done, views = 0, []
    for count in counts:
        done += count
        views.append((trail.append(whole[:, done - count : done]), whole[:, max(0, done - most) : done]))
        assert trail.nbytes() <= (most + most // HEADROOM) * 2 * 3 * 4
    for held, expected in views:  # those of earlier appends too
        assert torch.equal(held, expected)


def test_a_trail_is_seldom_copied():
    trail, buffers = History(400), set()
    trail.append(torch.zeros(1, 400, 1))
    for _ in range(100):
        trail.append(torch.zeros(1, 1, 1))
        buffers.add(trail.buffer.data_ptr())
    assert len(buffers) == 1


@settings(deadline=None)
@given(most=st.integers(0, 12), counts=st.lists(st.integers(0, 15), min_size=1, max_size=12))
def test_folded_trails_go_on_as_their_layers_would(most, counts):
    layers, folded = LayerHistories(most), LayerHistories(most)
    for step, count in enumerate(counts):
        if step == len(counts) // 2 and step:
            folded.stack_layers()
        new = torch.randn(3, 2, count, 3)
        for layer in range(3):
            layers.append(layer, new[layer])
        if len(folded) == 1:
            folded.append(0, new.flatten(0, 1))
        else:
            for layer in range(3):
                folded.append(layer, new[layer])
    assert torch.equal(torch.cat(list(folded.values())), torch.cat(list(layers.values())))
    assert folded.nbytes() == layers.nbytes()
