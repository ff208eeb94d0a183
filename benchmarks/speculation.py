"""Acceptance and speed of speculative decoding along the stream, under a streaming and a dense cache.

    python benchmarks/speculation.py                     # the demonstration models, any machine; 20 minutes
    python benchmarks/speculation.py --output rows.csv   # keeps every round

First the chance that one draft stays, along the given text (see engines/speculation/agreement.py). Then what
the parts of a round cost, and rounds on continuations of the models' own. With a tokens a round, the speed-up
is a t(1) / (k t_draft + t(k + 1)) (Leviathan et al. 2023, theorem 3.8).
"""

import argparse
import sys
import time
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from library import DEMO, check_device  # puts the library on the path
from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import Sampler, generate, greedy
from sinkbench.engines.speculation.agreement import agreement
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.speculator import Speculator, speculate
from sinkbench.engines.speculation.verification import Greedy, Sampled
from sinkbench.engines.table import engine_row
from sinkbench.model.loading import load_model
from sinkbench.runtime.device import synchronise
from sinkbench.text.corpora import documents
from sinkbench.text.tokens import load_tokenizer

MODULES = ["_pydecimal", "turtle", "inspect", "typing", "pydoc"]


class Remembering(Evaluator):
    """An evaluator that keeps the last prompt it read, since many rules continue the same one."""

    kept = None

    def prefill(self, prompt, visibility):
        key = (len(prompt), int(prompt.sum()), visibility)
        if self.kept is None or self.kept[0] != key:
            self.kept = None
            self.kept = key, super().prefill(prompt, visibility)
        return self.kept[1]


def main() -> None:
    options = parse()
    check_device(options.device)
    settings = {"source": "folder", "dtype": options.dtype}
    models = [
        load_model({**settings, "path": str(path)}, options.device) for path in (options.model, options.draft)
    ]
    evaluators = [Remembering(model, options.chunk) for model in models]
    texts = read_texts(options)
    print(f"{len(texts)} documents on {options.device}, {torch.get_num_threads()} threads\n")
    chosen = {
        "streaming": policies.build("streaming", {"budget": options.budget, "sinks": options.sinks}),
        "dense": policies.build("dense", {"max_tokens": max(options.positions) + 1}),
    }
    show_agreement(evaluators, chosen, texts, options)
    show_costs(evaluators, chosen, texts, options)
    rows = [row for name in chosen for row in continuations(evaluators, chosen[name], name, texts, options)]
    show_rounds(pd.DataFrame(rows), options)


def parse() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", type=Path, default=DEMO, help="folder of the target")
    parser.add_argument("--draft", type=Path, default=DEMO.with_name("demo-draft"), help="of the draft")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--budget", type=int, default=512, help="cached tokens, sinks included")
    parser.add_argument("--sinks", type=int, default=4)
    parser.add_argument("--draft-tokens", type=numbers, default=[1, 2, 4, 8], help="of a round")
    parser.add_argument("--positions", type=numbers, default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--tokens", type=int, default=96, help="length of each continuation")
    parser.add_argument("--engine", default="eager", help="that reads blocks, with and without drafts")
    parser.add_argument("--captured", action="store_true", help="a round as one CUDA graph")
    parser.add_argument("--chunk", type=int, default=256, help="tokens per pass of the evaluator")
    parser.add_argument("--documents", type=int, default=len(MODULES), help="texts, at most")
    parser.add_argument("--repetitions", type=int, default=30, help="reads of a block; the median counts")
    parser.add_argument("--output", type=Path, help="CSV of all rounds")
    return parser.parse_args()


def read_texts(options) -> dict[str, torch.Tensor]:
    tokenizer = load_tokenizer(options.model / "tokenizer.json")
    texts = {}
    modules = MODULES[: options.documents]
    for name, text in documents({"name": "stdlib", "kind": "stdlib", "modules": modules}):
        ids = tokenizer.encode("<|endoftext|>" + text).ids
        if len(ids) > max(options.positions):
            texts[name] = torch.tensor(ids, device=options.device)
    return texts


def show_agreement(evaluators, chosen: dict, texts: dict, options) -> None:
    """Mean chance that one draft stays, by bins of positions between those asked for."""
    edges, frames = [0, *options.positions], []
    for (name, policy), ids in product(chosen.items(), texts.values()):
        ids = ids[: max(options.positions)]
        same, shared = agreement(*evaluators, ids, policy.visibility(len(ids)))
        frame = pd.DataFrame({"policy": name, "greedy": same.cpu(), "sampled": shared.cpu()})
        frames.append(frame.assign(positions=pd.cut(frame.index, edges, right=False)))
    table = pd.concat(frames).groupby(["policy", "positions"], observed=True)[["greedy", "sampled"]].mean()
    print(
        "Chance that one draft stays, along the text itself:",
        table.round(3).to_string(),
        "",
        sep="\n",
        flush=True,
    )


def show_costs(evaluators, chosen: dict, texts: dict, options) -> None:
    """Median milliseconds of reading blocks after the longest prompt and after the shortest."""
    ids, rows = next(iter(texts.values())), []
    for (name, policy), position in product(chosen.items(), (min(options.positions), max(options.positions))):
        for what, evaluator in zip(("target", "draft"), evaluators, strict=True):
            size = max(options.draft_tokens) + 1
            decoder = BlockDecoder(evaluator.model, policy, evaluator, size, kind_of(options))
            decoder.prefill(ids[:position], 256)
            for size in (1, *(count + 1 for count in options.draft_tokens)):
                ms = block_ms(decoder, ids[position : position + size], options.repetitions)
                rows.append((name, position, f"{what} {size}", ms))
    table = pd.DataFrame(rows, columns=["policy", "position", "read", "ms"])
    table = table.pivot(index=["policy", "position"], columns="read", values="ms")
    print(
        "Milliseconds to read a block of so many tokens:",
        table.round(2).to_string(),
        "",
        sep="\n",
        flush=True,
    )


def block_ms(decoder: BlockDecoder, block, repetitions: int) -> float:
    """Median milliseconds of reading a block that is taken back each time."""
    times = []
    for _ in range(repetitions):
        synchronise(block.device)
        begun = time.perf_counter()
        decoder.read(block)
        synchronise(block.device)
        times.append(1e3 * (time.perf_counter() - begun))
        decoder.take_back(len(block))
    return sorted(times)[len(times) // 2]


def continuations(evaluators, policy, name: str, texts: dict, options):
    """One row for every continuation with drafts, beside the one without."""
    for position, (document, ids) in product(options.positions, texts.items()):
        where = {"policy": name, "position": position, "document": document}
        for rule in ("greedy", "sampled"):
            yield from (where | row for row in continued(evaluators, policy, ids[:position], rule, options))
        print(f"{name} {position} {document}", file=sys.stderr, flush=True)


def continued(evaluators, policy, prompt, rule: str, options):
    plain = engines.build(engine_row(options.engine), evaluators[0].model, policy, evaluators[0])
    choose = greedy if rule == "greedy" else Sampler(1.0, 0, prompt.device)
    expected, plain_ms = timed(lambda count: generate(plain, prompt[None], count, choose)[0], options.tokens)
    for draft_tokens in options.draft_tokens:
        speculator = build(evaluators, policy, draft_tokens, rule, options)
        (got, kept), ms = timed(partial(speculate, speculator, prompt), options.tokens)
        gap = tie(plain, prompt, got, expected) if rule == "greedy" else float("nan")
        judged = sum(min(count + 1, draft_tokens) for count in kept)
        counts = {"rounds": len(kept), "kept": sum(kept), "judged": judged, "tie": gap}
        yield {"rule": rule, "draft_tokens": draft_tokens, **counts, "ms": ms, "plain_ms": plain_ms}


def tie(plain, prompt, got, expected) -> float:
    """How far apart, in logits, the two ids stand where continuations part for the first time; 0: nowhere."""
    parted = (got != expected).nonzero()
    if len(parted) == 0:
        return 0.0
    index = int(parted[0])
    scores = plain.prefill(torch.cat((prompt, expected[:index]))[None], 1)[0].float()
    return float((scores[expected[index]] - scores[got[index]]).abs())


def build(evaluators, policy, draft_tokens: int, rule: str, options) -> Speculator:
    model = evaluators[0].model
    decoders = [
        BlockDecoder(each.model, policy, each, draft_tokens + 1, kind_of(options)) for each in evaluators
    ]
    sampled = Sampled(draft_tokens, model.config.vocab_size, 1.0, 0, model.device)
    return Speculator(*decoders, draft_tokens, Greedy() if rule == "greedy" else sampled, options.captured)


def kind_of(options):
    """What reads blocks on the engine."""
    return engines.blocks(engine_row(options.engine))


def timed(act, count: int):
    """What `act(count)` gives once its prompt is known, and milliseconds."""
    act(4)
    begun = time.perf_counter()
    result = act(count)
    return result, 1e3 * (time.perf_counter() - begun)


def show_rounds(rows: pd.DataFrame, options) -> None:
    """Acceptance (of drafts that were judged), tokens a round, and speed-up, pooled over documents.

    Continuations that parted from decoding without drafts are counted; at a tie, two logits are close.
    """
    if options.output:
        rows.to_csv(options.output, index=False)
    grouped = rows.groupby(["policy", "rule", "draft_tokens", "position"], sort=False)
    sums = grouped[["kept", "judged", "rounds", "ms", "plain_ms"]].sum(min_count=1)
    table = pd.DataFrame({
        "acceptance": sums.kept / sums.judged,
        "tokens_per_step": sums.kept / sums.rounds + 1,
        "speedup": sums.plain_ms / sums.ms,
        "parted": grouped["tie"].agg(lambda gaps: (gaps > 0).sum()),
        "largest_tie": grouped["tie"].max(),
    })  # fmt: skip
    print("Continuations:", table.round(3).to_string(), sep="\n", flush=True)


if __name__ == "__main__":
    main()
