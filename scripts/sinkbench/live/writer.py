"""An endless continuation of a prompt by an engine of the study, with its rate and memory now and then."""

import time
from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import Sampler, greedy
from sinkbench.errors import UserError, shown
from sinkbench.live.detokenizer import Detokenizer
from sinkbench.measure.quality import check_vocabulary
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.runtime.memory import peak_bytes
from sinkbench.text.corpora import MARK

FOREVER = 2**40  # tokens; a bounded cache makes no room for them
REMEMBERED = 192  # last ids that are searched for a repetition
TIMES = 3  # that a stretch must follow itself
MEBI = 2**20


def prompt_ids(prompt: str, tokenizer, start: str | None) -> list[int]:
    """Ids of a prompt as the study reads texts, behind the token that those begin with.

    Raises:
        UserError: the prompt is blank, or the tokenizer lacks the token.
    """
    if not prompt.strip():
        raise UserError("the prompt is empty")
    first = [] if start is None else [tokenizer.token_to_id(start)]
    if None in first:
        raise UserError(f"start_token: {shown(start)} is not in the tokenizer's vocabulary")
    text = prompt.lstrip(MARK).replace("\r\n", "\n").replace("\r", "\n")
    return first + tokenizer.encode(text, add_special_tokens=False).ids


def check_numbers(count: int | None, temperature: float, every_s: float) -> None:
    """Raise UserError for numbers of the command line that are out of range."""
    if count is not None and count < 1:
        raise UserError(f"--tokens: {count} is not a whole number of at least 1")
    for name, value in (("--temperature", temperature), ("--status", every_s)):
        if not 0 <= value < float("inf"):
            raise UserError(f"{name}: {value:g} is not a finite number of at least 0")


class Writer:
    """Continues one prompt.

    Args:
        settings: of a run (Study.timing_settings).
        prompt: ids.
        count: tokens to write; None: without end, which only a bounded cache can.
        temperature: 0 is greedy.
        seed: of the draws.

    Raises:
        UserError: the cache would grow without end, or an id is none of the model's.
    """

    def __init__(self, settings: dict, prompt: list[int], count: int | None, temperature: float, seed: int):
        policy = policies.build(settings["policy"], settings["options"])
        if count is None and policy.cache == "growing":
            raise UserError(f"--tokens: missing, since a cache of policy {settings['policy']} grows")
        model = load_model(settings["model"], settings["device"])
        model = apply_format(settings["quantization"], model)
        self.device, self.count = model.device, count
        self.prompt = torch.tensor(prompt, device=model.device)
        check_vocabulary(model, self.prompt, "prompt")
        evaluator = Evaluator(model, settings["chunk_tokens"])
        self.engine = engines.build(settings["engine"], model, policy, evaluator)
        self.choose = Sampler(temperature, seed, model.device) if temperature else greedy

    def tokens(self) -> Iterator[int]:
        """Ids, one after another. Nothing is kept of them."""
        scores = self.engine.prefill(self.prompt[None], FOREVER if self.count is None else self.count)
        written = 0
        while True:
            chosen: Tensor = self.choose(scores)
            yield int(chosen)
            written += 1
            if written == self.count:
                return
            scores = self.engine.step(chosen)


class Meter:
    """Counts what is written, and says so in a line every so many seconds."""

    def __init__(self, writer: Writer, every_s: float, say):
        self.writer, self.every_s, self.say = writer, every_s, say
        self.count, self.last = 0, deque(maxlen=REMEMBERED)
        self.began = self.said = time.monotonic()
        self.first = None  # when the first token came: behind the prompt

    def __call__(self, token: int) -> int:
        """Count a token."""
        now = time.monotonic()
        self.count, self.first = self.count + 1, self.first or now
        self.last.append(token)
        if now - self.said >= self.every_s:
            self.said = now
            self.say(self.line())
        return token

    def line(self) -> str:
        """Tokens so far, the rate behind the first, and memory."""
        said = f"{self.count:,} tokens"
        if self.count > 1:
            seconds = max(time.monotonic() - self.first, 1e-9)
            said += f", {(self.count - 1) / seconds:,.1f} tokens/s"
        if self.count:
            cache, peak = self.writer.engine.cache_bytes(), peak_bytes(self.writer.device)
            said += f", cache {cache / MEBI:,.1f} MiB, peak {peak / MEBI:,.0f} MiB"
        if (period := repeated(self.last)) is not None:
            said += f", repeats itself every {period} tokens (--temperature 0.8 samples instead)"
        return said


def repeated(ids: Sequence[int]) -> int | None:
    """The shortest stretch of ids, in tokens, that ends the ids TIMES over and fills half of REMEMBERED."""
    ids = list(ids)
    for period in range(1, len(ids) // TIMES + 1):
        length = max(TIMES * period, REMEMBERED // 2)
        if length <= len(ids) and ids[-length:-period] == ids[-length + period :]:
            return period
    return None


def write(writer: Writer, tokenizer, out, say, every_s: float) -> bool:
    """Write text to `out` as it comes, until it ends or the user interrupts it; whether it came to its end.

    Args:
        out: takes pieces of text.
        say: takes lines about the text, the last one with totals.
    """
    meter, detokenizer = Meter(writer, every_s, say), Detokenizer(tokenizer)
    finished = False
    try:
        for piece in detokenizer.pieces(map(meter, writer.tokens())):
            out(piece)
        finished = True
    except KeyboardInterrupt:
        out(detokenizer.end())
    say(f"{'done' if finished else 'interrupted'}: {meter.line()}")
    return finished
