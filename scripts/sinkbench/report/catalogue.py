"""What the workflow needs to know of tables, figures and claims before any of them is made.

Titles, captions and words are read from the source without importing it, since figures import matplotlib
and the workflow is planned often.
"""

import ast
from pathlib import Path

from sinkbench import registry
from sinkbench.analysis.estimate import DAGGER_NOTE
from sinkbench.artifacts.fingerprint import fingerprint
from sinkbench.errors import check_name

HERE = Path(__file__).parents[1]
FOLDERS = {
    "tables": "report/tables",
    "figures": "report/figures",
    "claims": "analysis/claims",
}  # by config key
CONTINUATIONS = "report/continuations.html"
# The order of the report's argument, which Snakemake's menu sorts by name.
CATEGORIES = ("findings", "baselines", "streaming", "engine", "refresh", "ablations", "provenance")
PAGES = {"findings.html": ("findings", "Findings"), "provenance.html": ("provenance", "Provenance")}
CONTINUED = {"continuations.html": ("streaming", "Continuations of one prompt")}
SCRIPTS = {"tables": "render_table.py", "figures": "render_figure.py"}


def check(config: dict) -> None:
    """Raise UserError for a word without a file."""
    for kind, folder in FOLDERS.items():
        for word in config[kind]:
            check_name(word, registry.available(folder), kind)


def title(kind: str, word: str) -> str:
    """The title of a table or figure."""
    return _literals(HERE / FOLDERS[kind] / f"{word}.py")["TITLE"]


def category(kind: str, word: str) -> str:
    """The category of the report in which a table or figure is shown."""
    return menu_entry(_literals(HERE / FOLDERS[kind] / f"{word}.py")["CATEGORY"])


def menu_entry(word: str) -> str:
    """A category as the report's menu names it: "3 Streaming"."""
    return f"{CATEGORIES.index(word) + 1} {word.capitalize()}"


def job_spec(kind: str, word: str, config: dict) -> dict:
    """What a table's or figure's job is told: word, title, caption, the facts that it asks for, and its code.

    Only those, so that an edit of another key of the config, or of another figure, leaves it as it is.
    """
    source, known = _literals(HERE / FOLDERS[kind] / f"{word}.py"), caption_fields(config)
    words = {name: known[name] for name in source["WORDS"]}
    loaded = [registry.source(FOLDERS[kind], word), *(_claim_files(config) if "claims" in words else [])]
    if kind == "tables":
        loaded += [registry.source("report/formats", name) for name in registry.available("report/formats")]
    return {
        "word": word,
        "title": source["TITLE"],
        "caption": source["CAPTION"].format(**words),
        "words": words,
        "code": fingerprint(HERE.parent, SCRIPTS[kind], *loaded),
    }


def caption_fields(config: dict) -> dict:
    """Facts of the config, and words that captions share, by the names that captions use."""
    statistics, speed = config["statistics"], config["speed"]
    return {
        "claims": config["claims"],
        "confidence": f"{100 * statistics['confidence']:g}",
        "block_tokens": statistics["block_tokens"],
        "position_bin": statistics["position_bin"],
        "repetitions": speed["repetitions"],
        "steps": speed["steps"],
        "device": config["device"],
        "dagger": DAGGER_NOTE,
    }


def output_specs(config: dict) -> dict[str, dict]:
    """What each file that is rendered from the measurements is told, by its path below the results."""
    shown = {f"tables/{word}.html": job_spec("tables", word, config) for word in config["tables"]}
    shown |= {f"figures/{word}.svg": job_spec("figures", word, config) for word in config["figures"]}
    return shown | {
        "report/landing.rst": landing_facts(config),
        "report/findings.html": findings_facts(config),
        "report/provenance.html": provenance_facts(config),
    }


def headline_figure(config: dict) -> list[str]:
    """The figure of the report's first page: the first that the config names, if any."""
    return config["figures"][:1]


def landing_facts(config: dict) -> dict:
    """What the report's first page says of the study; `links`: the files shown, by category and title."""
    described = [job_spec("figures", word, config) for word in headline_figure(config)]
    return _page_facts(config, "render_landing.py") | {
        "headline_figure": "".join(about["title"] for about in described),
        "figure_code": [about["code"] for about in described],
        "links": _links(config),
    }


def _links(config: dict) -> dict[str, dict[str, str]]:
    pages = PAGES | (CONTINUED if "continuation" in config["measure"] else {})
    shown = [(menu_entry(word), heading, name) for name, (word, heading) in pages.items()]
    for kind, ending in (("tables", "html"), ("figures", "svg")):
        shown += [(category(kind, word), title(kind, word), f"{word}.{ending}") for word in config[kind]]
    order = sorted({category for category, *_ in shown})
    return {name: {heading: file for other, heading, file in shown if other == name} for name in order}


def provenance_facts(config: dict) -> dict:
    """What the report's page of provenance says of the study."""
    return {"study": config["study"], "code": fingerprint(HERE.parent, "render_provenance.py")}


def findings_facts(config: dict) -> dict:
    """What the report's page of findings says of the study."""
    known = caption_fields(config)
    statistics = {name: known[name] for name in ("confidence", "block_tokens", "repetitions", "steps")}
    return _page_facts(config, "render_findings.py") | statistics


def continuation_facts(config: dict) -> dict:
    """What the report's page of continuations says of the study."""
    about = {"study": config["study"], "model": _model(config["model"]), "tokenizer": config["tokenizer"]}
    code = fingerprint(HERE.parent, "render_continuations.py")
    return {**about, **config["continuations"], "code": code}


def _page_facts(config: dict, script: str) -> dict:
    """What every page says of the study, and the code that makes it."""
    return {
        "study": config["study"],
        "model": _model(config["model"]),
        "corpora": [_corpus(entry) for entry in config["corpora"]],
        "claims": config["claims"],
        "code": fingerprint(HERE.parent, script, *_claim_files(config)),
    }


def _model(model: dict) -> str:
    origins = {
        "hub": "{repo} at revision {revision}",
        "folder": "the folder {path}",
        "random": "random weights (seed {seed}), whose times mean something and whose perplexities would not",
    }
    return origins[model["source"]].format(**model) + f", as {model['dtype']}"


def _corpus(corpus: dict) -> str:
    words = corpus.get("modules") or corpus.get("topics") or []
    origin = corpus.get("repo") or corpus.get("path") or corpus.get("glob") or ", ".join(words)
    return f"{corpus['name']} ({corpus['kind']}: {origin})"


def _claim_files(config: dict) -> list[str]:
    return [registry.source("analysis/claims", word) for word in config["claims"]]


def _literals(path: Path) -> dict:
    """Constants that a module assigns at its top level."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ("TITLE", "CATEGORY", "CAPTION", "WORDS"):
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found
