"""What the workflow needs to know of tables, figures, pages and claims before any of them is made.

Titles, captions and words are read from the source without importing it, since figures import matplotlib
and the workflow is planned often.
"""

import ast
import re
from functools import cache
from pathlib import Path

from sinkbench import registry
from sinkbench.analysis.estimate import DAGGER_NOTE
from sinkbench.artifacts.digests import digest
from sinkbench.artifacts.fingerprint import ROOT, code_of
from sinkbench.errors import check_name
from sinkbench.results.published import model_name

SCRIPT = "render.py"
# Folders of the library by the config key that lists their files.
FOLDERS = {"tables": "report/tables", "figures": "report/figures", "claims": "analysis/claims"}
SHOWN = {"tables": "html", "figures": "svg"}  # what the report shows of each kind, by the ending of its files
CONTINUATIONS = "continuations.html"
GPU_REFERENCE = "gpu_reference.html"
REFERENCE = "docs/reference/ladder"  # results of a GPU, kept under version control
REFERENCE_FILES = ("ladder.csv", "roofline.svg", "environment.json")
# Parts of the report in the order of its argument, with their names in Snakemake's menu, which sorts by name.
CATEGORIES = {
    "findings": "Findings",
    "baselines": "Baselines",
    "streaming": "Streaming",
    "engine": "Engine",
    "refresh": "RefreshLite",
    "ablations": "Ablations",
    "provenance": "Provenance",
}
# Category and title of the pages beside the landing page.
PAGES = {
    "findings.html": ("findings", "Findings"),
    "provenance.html": ("provenance", "Provenance"),
    CONTINUATIONS: ("streaming", "Continuations of one prompt"),
    GPU_REFERENCE: ("findings", "The same question on a GPU"),
}
# How gguf files are named: the model's name, then the number format of most of its weights.
GGUF_NAME = re.compile(r"(?P<name>.+?)[.-](?P<format>I?Q\d\w*|BF16|F16|F32)", re.IGNORECASE)
LITERALS = ("TITLE", "CATEGORY", "CAPTION", "CAPTION_FIELDS")


def check(config: dict) -> None:
    """Raise UserError for a name without a file."""
    for kind, folder in FOLDERS.items():
        for name in config[kind]:
            check_name(name, registry.available(folder), kind)


def title(kind: str, name: str) -> str:
    """The title of a table or figure."""
    return _literals(kind, name)["TITLE"]


def category(kind: str, name: str) -> str:
    """The category of the report in which a table or figure is shown."""
    return menu_entry(_literals(kind, name)["CATEGORY"])


def menu_entry(name: str) -> str:
    """A category as the report's menu names it: "3 Streaming"."""
    return f"{list(CATEGORIES).index(name) + 1} {CATEGORIES[name]}"


def specs(kind: str, config: dict) -> dict[str, dict]:
    """What the job that renders all tables, or all figures, is told of each, by its name."""
    return {name: job_spec(kind, name, config) for name in config[kind]}


def job_spec(kind: str, name: str, config: dict) -> dict:
    """What is told of one table or figure: title, caption, the facts that it asks for, and its code.

    Only those, so that an edit of another key of the config leaves it as it is.
    """
    source, known = _literals(kind, name), caption_fields(config)
    fields = {field: known[field] for field in source["CAPTION_FIELDS"]}
    more = _claim_files(config) if "claims" in fields else []
    if kind == "tables":
        more += [registry.source("report/formats", ending) for ending in registry.available("report/formats")]
    return {
        "title": source["TITLE"],
        "caption": source["CAPTION"].format(**fields),
        "fields": fields,
        "code": _code(FOLDERS[kind], name, more),
    }


def caption_fields(config: dict) -> dict:
    """Facts of the config, and words that captions share, by the names that captions use."""
    statistics, speed = config["statistics"], config["speed"]
    return {
        "claims": config["claims"],
        "confidence": f"{100 * statistics['confidence']:g}",
        "block_tokens": statistics["block_tokens"],
        "position_bin": statistics["position_bin"],
        "passage_tokens": config.get("recall", {}).get("passage_tokens", "some"),
        "repetitions": speed["repetitions"],
        "steps": f"at least {speed['steps']}",  # a policy's period and the engine may ask for more
        "device": config["device"],
        "published": config.get("published", []),
        "model_name": model_name(config["model"]),
        "dagger": DAGGER_NOTE,
    }


def output_specs(config: dict) -> dict[str, dict]:
    """What each rendered file is told, by its path below the results."""
    shown = {
        f"{kind}/{name}.{ending}": spec
        for kind, ending in SHOWN.items()
        for name, spec in specs(kind, config).items()
    }
    return shown | {f"report/{page}": spec for page, spec in page_specs(config).items()}


def pages_of(config: dict) -> list[str]:
    """The pages that the report's menu shows. A study on a CPU also shows what a GPU once said."""
    absent = set() if "continuation" in config["measure"] else {CONTINUATIONS}
    absent |= set() if config["device"] == "cpu" else {GPU_REFERENCE}
    return [page for page in PAGES if page not in absent]


def page_specs(config: dict) -> dict[str, dict]:
    """What the job that renders all pages is told of each, by the name of its file."""
    makers = {"findings.html": findings_spec, "provenance.html": provenance_spec}
    makers |= {CONTINUATIONS: continuations_spec, GPU_REFERENCE: gpu_reference_spec}
    pages = {page: makers[page](config) for page in pages_of(config)}
    return {"landing.rst": landing_spec(config)} | pages


def headline_figure(config: dict) -> list[str]:
    """The figure of the report's first page: the first that the config names, if any."""
    return config["figures"][:1]


def landing_spec(config: dict) -> dict:
    """What the report's first page says of the study; `links`: the files shown, by category and title."""
    shown = {name: job_spec("figures", name, config) for name in headline_figure(config)}
    return _study_facts(config, "landing") | {
        "figures": list(shown),
        "headline_figure": "".join(spec["title"] for spec in shown.values()),
        "figure_code": [spec["code"] for spec in shown.values()],
        "links": _links(config),
    }


def findings_spec(config: dict) -> dict:
    """What the report's page of findings says of the study."""
    known = caption_fields(config)
    statistics = {name: known[name] for name in ("confidence", "block_tokens", "repetitions", "steps")}
    return _study_facts(config, "findings") | statistics


def provenance_spec(config: dict) -> dict:
    """What the report's page of provenance says of the study."""
    return {"study": config["study"], "code": _code("report/pages", "provenance")}


def continuations_spec(config: dict) -> dict:
    """What the report's page of continuations says of the study."""
    about = {"study": config["study"], "model": _model(config["model"]), "tokenizer": config["tokenizer"]}
    return {**about, **config["continuations"], "code": _code("report/pages", "continuations")}


def gpu_reference_spec(config: dict) -> dict:
    """What the page of the GPU reference is made from, whatever the study."""
    files = [ROOT.parent / REFERENCE / name for name in REFERENCE_FILES]
    return {"folder": REFERENCE, "reference": digest(files), "code": _code("report/pages", "gpu_reference")}


def _study_facts(config: dict, page: str) -> dict:
    """What every page says of the study, and the code that makes it."""
    return {
        "study": config["study"],
        "model": _model(config["model"]),
        "corpora": {entry["name"]: _corpus(entry) for entry in config["corpora"]},
        "claims": config["claims"],
        "code": _code("report/pages", page, _claim_files(config)),
    }


def _links(config: dict) -> dict[str, dict[str, str]]:
    shown = [(menu_entry(PAGES[page][0]), PAGES[page][1], page) for page in pages_of(config)]
    for kind, ending in SHOWN.items():
        shown += [(category(kind, name), title(kind, name), f"{name}.{ending}") for name in config[kind]]
    order = sorted({category for category, *_ in shown})
    return {name: {heading: file for other, heading, file in shown if other == name} for name in order}


def _model(model: dict) -> str:
    if model["source"] in ("package", "gguf"):
        return f"{_gguf(model)}, as {model['dtype']}"
    sources = {
        "hub": "{repo} at revision {revision}",
        "folder": "the folder {path}",
        "random": "random weights (seed {seed}), whose times mean something and whose perplexities would not",
    }
    return sources[model["source"]].format(**model) + f", as {model['dtype']}"


def _gguf(model: dict) -> str:
    """What a gguf file holds, by its name, and where it comes from."""
    packed = model["source"] == "package"
    path = Path(model["file"] if packed else model["path"])
    origin = f"{path} of the package {model['requirement']}" if packed else str(path)
    named = GGUF_NAME.fullmatch(path.stem)
    what = f"{named['name']}, weights dequantised from {named['format'].upper()}" if named else path.stem
    return f"{what} ({origin})"


def _corpus(corpus: dict) -> str:
    """A corpus and its origin; which texts of a Python there were, the measurements know."""
    origin = corpus.get("repo") or corpus.get("path") or corpus.get("glob")
    return f"{corpus['name']} ({corpus['kind']}{f': {origin}' if origin else ''})"


def _claim_files(config: dict) -> list[str]:
    return [registry.source("analysis/claims", name) for name in config["claims"]]


def _code(folder: str, name: str, more: list[str] = ()) -> dict:
    """Fingerprint of a file that a rendering job loads by name, of its folder's frame, and of `more`."""
    return code_of(SCRIPT, *(registry.source(folder, each) for each in ("__init__", name)), *more)


@cache
def _literals(kind: str, name: str) -> dict:
    """Constants that a module assigns at its top level."""
    source = (ROOT / registry.source(FOLDERS[kind], name)).read_text(encoding="utf-8")
    assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    named = [(node.targets[0].id, node.value) for node in assigned if isinstance(node.targets[0], ast.Name)]
    return {constant: ast.literal_eval(value) for constant, value in named if constant in LITERALS}
