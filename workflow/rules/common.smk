# What the rules share: the study read from the config, and the check before any job starts.

import atexit
import os
import re
import sys
from pathlib import Path

SCRIPTS = f"{os.path.realpath(workflow.basedir)}/scripts"
sys.path.insert(0, SCRIPTS)

import sinkbench

if (
    os.path.realpath(sinkbench.__spec__.origin or "")
    != f"{SCRIPTS}/sinkbench/__init__.py"
):
    raise WorkflowError(
        f"Python imported {list(sinkbench.__path__)[0]}, not {SCRIPTS}/sinkbench; "
        "start snakemake without it"
    )

from sinkbench.report import catalogue
from sinkbench.study.cluster import (
    LEAST_MINUTES,
    aggregation_mb,
    aggregation_minutes,
    recall_minutes,
    scoring_minutes,
    timing_minutes,
)
from sinkbench.study.config import read_study
from sinkbench.errors import UserError
from sinkbench.study.cost import describe_cost, result_bytes
from sinkbench.study.orphans import describe_orphans, orphans, remove_orphans
from sinkbench.artifacts.fingerprint import code_of
from sinkbench.runtime.job import WORKFLOW, prepare_jobs
from sinkbench.study.preflight import check
from sinkbench.study.run_table import FAMILIES
from sinkbench.runtime.run_lock import hold_run_lock, is_left_by_a_killed_run
from sinkbench.artifacts.files import remove_partials

# In the order in which they are merged: Snakemake lists those of the command line first.
OVERLAYS = workflow.overwrite_configfiles
CONFIG_FILES = [*workflow.configfiles[len(OVERLAYS) :], *OVERLAYS]

try:
    study = read_study(
        config, f"{workflow.basedir}/workflow/schemas/config.schema.yaml", CONFIG_FILES
    )
except UserError as error:
    raise WorkflowError(str(error))

# In its one form, so that neither the order of keys nor 1.0 for 1 changes what rules say of themselves.
config.clear()
config.update(study.config)
RESULTS = f"results/{study.name}"
MEASURED = [(folder, name) for folder, name, _ in study.measuring_jobs()]
CHECKED_FIRST = len(FAMILIES) + 1  # priority: before every family's
TIMED_TOKENS = f"{RESULTS}/tokens/{study.config['speed']['corpus']}.parquet"

# Jobs end with this process, whatever ends it; and whoever unlocks this folder can see that it is at work.
os.environ[WORKFLOW] = str(os.getpid())
prepare_jobs(SCRIPTS)
if workflow.is_main_process:
    if is_left_by_a_killed_run():
        print(
            "A killed run left its lock here. Recover with: python scripts/unlock.py",
            file=sys.stderr,
        )
    PRESENT = hold_run_lock()


def one_of(words):
    """A wildcard constraint that matches exactly these words, or nothing if there are none."""
    return "|".join(re.escape(word) for word in words) or "(?!)"


# What a measuring job takes: a GPU, which a cluster gives to no other job. On this machine's CPU one that is timed
# takes all that --cores offers, so that nothing runs beside it, and one that only scores takes one core.


def on_local_cpu():
    return config["device"] == "cpu" and workflow.local_exec


def gpu_slots(wildcards):
    return 0 if on_local_cpu() else 1


def timing_threads(wildcards):
    return workflow.cores if on_local_cpu() else 1


def results_of(study):
    """Every file that a complete study shows."""
    shown = expand(f"{RESULTS}/tables/{{name}}.html", name=study.config["tables"])
    shown += expand(f"{RESULTS}/figures/{{name}}.svg", name=study.config["figures"])
    pages = ["landing.rst", *catalogue.pages_of(study.config)]
    return shown + [f"{RESULTS}/report/{page}" for page in pages]


def results_of_family(family):
    """What is measured of a family, but for continuations; and the self-checks of all."""
    folders = {"nll": study.methods_of(family), "speed": study.runs_of(family)}
    folders |= {"recall": folders["nll"], "sinks": folders["nll"]}
    folders |= {"profile": folders["speed"], "self_check": study.self_checks()}
    return [
        f"{RESULTS}/{folder}/{name}.parquet"
        for folder, name in MEASURED
        if name.split("/")[0] in folders.get(folder, [])
    ]


def shown(kind, name):
    """A table or figure as the report shows it, with the caption that its job writes beside."""
    return report(
        f"{RESULTS}/{kind}/{name}.{catalogue.SHOWN[kind]}",
        category=catalogue.category(kind, name),
        labels=report_labels(catalogue.title(kind, name)),
        caption=os.path.abspath(f"{RESULTS}/{kind}/{name}.rst"),
    )


def shown_page(page):
    """A page as the report shows it."""
    category, title = catalogue.PAGES[page]
    return report(
        f"{RESULTS}/report/{page}",
        category=catalogue.menu_entry(category),
        labels=report_labels(title),
    )


def scored_by(jobs):
    """(method, corpus) of the perplexities that these jobs measure."""
    wildcards = [job.wildcards for job in jobs]
    return [
        (w.method, w.corpus) for w in wildcards if {"method", "corpus"} <= {*w.keys()}
    ]


def recalled_by(jobs):
    """Methods whose recall these jobs measure."""
    return [job.wildcards.method for job in jobs if job.rule.name == "recall"]


def cost_of(jobs):
    """Lines that say what the measuring jobs among these will take."""
    timed = [job.wildcards.run for job in jobs if "run" in job.wildcards.keys()]
    return describe_cost(study, scored_by(jobs), timed, recalled_by(jobs))


def say_cost():
    """What the jobs of a dry run will take, below its plan: on which cards, how long, and how much memory."""
    if workflow.dryrun and workflow.dag is not None:
        # All of them: a dry run has "finished" its jobs by now.
        jobs = workflow.dag.needrun_jobs(exclude_finished=False)
        print(cost_of(list(jobs)), file=sys.stderr)


if workflow.is_main_process and config["device"] == "cuda":
    atexit.register(say_cost)


onstart:
    # Not on a cluster's head node, which need not have what its compute nodes have.
    if workflow.local_exec:
        remove_partials(RESULTS)
        if line := describe_orphans(orphans(study, RESULTS), study):
            print(line, file=sys.stderr)
        jobs = list(workflow.dag.needrun_jobs())
        planned = {job.rule.name for job in jobs}
        needs = {
            "fetches": bool(planned & {"fetch_repository", "convert_model"}),
            "tokenizes": "tokenize_corpus" in planned,
            "measures": any(
                re.fullmatch(
                    ".*(_quality|_speed)|self_check|profile|recall|sinks|continuation",
                    name,
                )
                for name in planned
            ),
        }
        try:
            check(study, **needs, result_bytes=result_bytes(study, scored_by(jobs)))
            if needs["measures"] and study.config["device"] == "cuda":
                print(cost_of(jobs), file=sys.stderr)
        except UserError as error:
            raise WorkflowError(str(error))
