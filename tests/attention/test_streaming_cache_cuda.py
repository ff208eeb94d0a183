"""On a CUDA device: generate with StreamingCache scores as the evaluator, also in half precision."""

import pytest
import torch
from model_families import SHAPES, model_of
from sinkbench import StreamingCache
from sinkbench.attention import passages
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.model.nll import token_nll_of_logits
from sinkbench.policies import Visibility

pytestmark = pytest.mark.cuda
SINKS, WINDOW = 3, 61
PROMPT = torch.randint(61, (2, 400), generator=torch.Generator().manual_seed(2))


@pytest.fixture(params=SHAPES)
def name(request) -> str:
    return request.param


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(passages, "CHUNK_TOKENS", 128)


def written(model, cache: StreamingCache, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts after 60 sampled tokens, and the NLLs of these by the logits that they were drawn from."""
    torch.manual_seed(5)
    output = model.generate(
        prompt, past_key_values=cache, max_new_tokens=60, do_sample=True, top_k=0, eos_token_id=None,
        return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    chosen = output.sequences[:, prompt.shape[1] :].unbind(1)
    pairs = zip(output.logits, chosen, strict=True)
    return output.sequences, torch.stack(
        [token_nll_of_logits(scores.float(), ids) for scores, ids in pairs], 1
    )


def exact(model, texts: torch.Tensor, start: int) -> torch.Tensor:
    evaluator = Evaluator(model, 128, kernel=MaskedKernel())
    rule = Visibility(SINKS, WINDOW)
    return torch.stack([evaluator.stream(text, rule)[start - 1 :] for text in texts])


def test_float32_scores_as_the_evaluator_on_a_cpu(name):
    """Two turns, the second from where the first ended."""
    model = model_of(name).cuda()
    cache = StreamingCache(model, SINKS, WINDOW)
    texts, nll = written(model, cache, PROMPT.cuda())
    more = torch.cat((texts, PROMPT[:, :50].cuda()), 1)
    longer, further = written(model, cache, more)
    for text, found in ((texts, nll), (longer, further)):
        start = text.shape[1] - found.shape[1]
        gap = (found.cpu() - exact(model_of(name), text.cpu(), start)).abs()
        assert gap.mean() < 1e-4
        assert gap.max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_no_further_from_float32_than_the_evaluator(name, dtype):
    model = model_of(name, dtype).cuda()
    texts, nll = written(model, StreamingCache(model, SINKS, WINDOW), PROMPT.cuda())
    own = exact(model, texts, PROMPT.shape[1])
    wide = exact(model.float(), texts, PROMPT.shape[1])
    assert (nll - own).abs().mean() < 0.05
    assert (nll - wide).abs().mean() < 1.5 * (own - wide).abs().mean() + 0.005


def test_a_model_that_moves_before_it_reads(name):
    model = model_of(name)
    cache = StreamingCache(model, SINKS, WINDOW)
    texts, nll = written(model.cuda(), cache, PROMPT.cuda())
    assert cache.nbytes() > 0
    gap = (nll.cpu() - exact(model_of(name), texts.cpu(), PROMPT.shape[1])).abs()
    assert gap.max() < 1e-3
