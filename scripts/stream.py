"""Continue a prompt without end, with the run that a finished study recommends, or with one that is named:

python scripts/stream.py --results results/demo --prompt "def median(numbers):"

The text goes to standard output, and what is said of it to standard error. Ctrl-C ends it.
"""

import argparse
import os
import sys
from pathlib import Path

from sinkbench.errors import UserError
from so_far import SCHEMA, merged

CONFIG, INTERRUPTED = "config.yaml", 130  # exit status by convention


def parsed(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--prompt", metavar="TEXT", help="what to continue")
    text.add_argument("--file", metavar="PATH", type=Path, help="a UTF-8 file to continue")
    parser.add_argument("--results", metavar="FOLDER", type=Path, help="a finished study's, results/NAME")
    parser.add_argument("--run", metavar="NAME", help="a run of the study, such as streaming-4+508.eager")
    parser.add_argument("--within", metavar="PERCENT", type=float, default=1.0,
                        help="perplexity that the recommended run may lose (1)")  # fmt: skip
    parser.add_argument("--configfile", metavar="FILE", nargs="+",
                        help="overlays of the study, if they are not workflow/studies/NAME.yaml")  # fmt: skip
    parser.add_argument("--tokens", metavar="N", type=int, help="end after so many tokens")
    parser.add_argument("--temperature", metavar="T", type=float, default=0.0,
                        help="of sampling; 0 is greedy, and repeats itself sooner or later (0)")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of sampling (0)")
    parser.add_argument("--status", metavar="SECONDS", type=float, default=10.0,
                        help="between two lines of rate and memory (10)")  # fmt: skip
    return parser.parse_args(words)


def stream(asked: argparse.Namespace) -> bool:
    """Write the text; whether it came to its end."""
    from sinkbench.artifacts.tokenizer_file import tokenizer_path
    from sinkbench.live.choice import config_files, recommended, settings_of, start_token
    from sinkbench.live.writer import Writer, check_numbers, prompt_ids, write
    from sinkbench.study.config import read_study
    from sinkbench.text.corpora import read_text
    from sinkbench.text.tokens import load_tokenizer

    check_numbers(asked.tokens, asked.temperature, asked.status)
    if asked.results is None and asked.run is None:
        raise UserError("--results: missing; name a folder of results, or a run with --run")
    prompt = read_text(asked.file) if asked.file else asked.prompt
    files = [CONFIG, *(asked.configfile or config_files(asked.results))]
    study = read_study(merged(files), SCHEMA, files)
    run = asked.run or recommended(asked.results, asked.within)
    settings = settings_of(study, run, "--run" if asked.run else str(asked.results))
    tokenizer = load_tokenizer(tokenizer_path(study.tokenizer))
    ids = prompt_ids(prompt, tokenizer, start_token(study))
    writer = Writer(settings, ids, asked.tokens, asked.temperature, asked.seed)
    say(f"{run} on {settings['device']}, {len(ids):,} tokens of prompt")
    return write(writer, tokenizer, show, say, asked.status)


def show(piece: str) -> None:
    """A piece of the text, at once."""
    sys.stdout.write(piece)
    sys.stdout.flush()


def say(line: str) -> None:
    """A line about the text; on a terminal that shows both, on a line of its own."""
    begin = "\n" if sys.stdout.isatty() and sys.stderr.isatty() else ""
    print(f"{begin}[{line}]", file=sys.stderr, flush=True)


def main(words: list[str]) -> int:
    """The exit status: 0 at the end of the text, INTERRUPTED after Ctrl-C."""
    for standard in (sys.stdout, sys.stderr):
        standard.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        return 0 if stream(parsed(words)) else INTERRUPTED
    except KeyboardInterrupt:  # before the first token
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the text has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
