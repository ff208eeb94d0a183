"""What tests of several rooms share: paths, known answers, random models, a decoder, a strict HTML parser."""

import re
from html.parser import HTMLParser
from pathlib import Path

import torch
from hypothesis import strategies as st
from sinkbench.artifacts.fingerprint import code_of
from sinkbench.engines.decode import decode_nll
from sinkbench.model.families import FAMILIES
from sinkbench.model.loading import random_model
from sinkbench.model.nll import token_nll_of_logits
from sinkbench.policies import Visibility

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests/fixtures"
FIXTURE = str(FIXTURES / "neox-tiny")
CODE = code_of()  # of no file: what settings made by tests say of their code
TOLERANCE = 1e-4  # nats; the forms agree to about 5e-6
RULES = ["sinks4_window28", "sinks4_window60", "sinks1_window31", "sinks0_window32", "sinks8_window24"]
VOCABULARY = 61  # of random models
LLAMA3 = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
SCALINGS = st.sampled_from(
    [
        {"rope_type": "default"},
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "llama3", "original_max_position_embeddings": 32, **LLAMA3},
    ]
)
VOID = {"meta", "br", "img", "link", "hr"}  # tags without an end


def visibility_of(rule: str) -> Visibility:
    """The visibility that a known answer was made with."""
    return Visibility(*map(int, re.findall(r"\d+", rule)))


def decode(engine, ids: torch.Tensor, start: int) -> torch.Tensor:
    """NLLs of tokens start .. T-1 of one text [T]."""
    return decode_nll(engine, ids[None], start)[0]


def largest_gap(nll: torch.Tensor, expected) -> float:
    """The largest difference from a known answer, in nats."""
    return float((nll.double() - torch.from_numpy(expected)).abs().max())


@st.composite
def shapes(draw, families=tuple(FAMILIES)):
    """Shapes of any family, tied or not."""
    family = draw(st.sampled_from(families))
    return draw(neox_shapes() if family == "gpt_neox" else gated_shapes(family))


@st.composite
def gated_shapes(draw, family: str):
    """Shapes of Llama and its descendants: several groups of query heads, biases and scaled rotations."""
    head_dim, kv_heads = draw(st.sampled_from([8, 16])), draw(st.integers(1, 2))
    heads = kv_heads * draw(st.integers(1, 3))
    shape = {
        "model_type": family,
        "vocab_size": VOCABULARY,
        "hidden_size": draw(st.sampled_from([16, 8 * heads])) * heads,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "num_hidden_layers": draw(st.integers(1, 3)),
        "intermediate_size": 32,
        "max_position_embeddings": 128,
        "tie_word_embeddings": draw(st.booleans()),
        "initializer_range": 0.4,
        "rope_parameters": {"rope_theta": draw(st.sampled_from([100.0, 10000.0]))} | draw(SCALINGS),
    }
    own = {"mistral": {"sliding_window": None}, "llama": {"mlp_bias": draw(st.booleans())}}
    if family in ("llama", "qwen3"):
        shape["attention_bias"] = draw(st.booleans())
    return shape | own.get(family, {})


@st.composite
def neox_shapes(draw):
    """GPT-NeoX shapes: parallel residual or not, tied or not, several rotary fractions and bases."""
    head_dim = draw(st.sampled_from([8, 16]))
    heads = draw(st.integers(1, 3))
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": head_dim * heads,
        "num_attention_heads": heads,
        "num_hidden_layers": draw(st.integers(1, 3)),
        "intermediate_size": 32,
        "use_parallel_residual": draw(st.booleans()),
        "tie_word_embeddings": draw(st.booleans()),
        "initializer_range": 0.4,  # large enough for attention to have opinions
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": draw(st.sampled_from([100.0, 10000.0])),
            "partial_rotary_factor": draw(st.sampled_from([0.25, 0.5, 1.0])),
        },
    }


def model_and_text(shape: dict, seed: int, length: int):
    """A random model in float64 on the CPU, and ids [length] of a random text."""
    model = random_model(shape, seed, torch.float64, "cpu").eval().requires_grad_(False)
    return model, torch.randint(VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed))


class Checked(HTMLParser):
    """Refuses tags that do not nest; keeps the text of every element by its tag."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.texts, self.attributes = [], {}, []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def decode_in_blocks(decoder, ids, start: int, draw) -> torch.Tensor:
    """NLLs of tokens start .. T-1: each block holds true tokens, then wrong ones that are taken back.

    Args:
        draw: gives a whole number between two bounds.
    """
    scores, position = [decoder.prefill(ids[:start], len(ids) + decoder.block)], start
    while position < len(ids) - 1:
        true = draw(1, min(decoder.block, len(ids) - 1 - position))
        wrong = draw(0, decoder.block - true)
        block = torch.cat((ids[position : position + true], ids[position : position + wrong] * 0 + 7))
        scores.append(decoder.read(block)[:true])
        decoder.take_back(len(block) - true)
        again = draw(0, min(true, decoder.block - len(block)))
        if again:  # what is read a second time is written over itself
            decoder.take_back(again)
            second = decoder.read(ids[position + true - again : position + true])
            near = 2e-4 if ids.is_cuda else 1e-5  # fewer rows may take other kernels there
            torch.testing.assert_close(second, scores[-1][true - again :], rtol=1.3e-6, atol=near)
        position += true
    return token_nll_of_logits(torch.cat(scores), ids[start:])
