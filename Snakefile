# Which cache policy, number format and engine buys the best perplexity for its time per token?
# This file is the table of contents; the study itself is config.yaml.

import os

from snakemake.utils import min_version

min_version("9.0")

if os.path.realpath(workflow.basedir) != os.getcwd():
    raise WorkflowError(
        f"run snakemake in the checkout: cd {workflow.basedir}, or add --directory {workflow.basedir}"
    )


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/staleness.smk"


report: f"results/{study.name}/report/landing.rst"


include: "workflow/rules/fetch.smk"
include: "workflow/rules/tokenize.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/extra.smk"


rule all:
    default_target: True
    input:
        results_of(study),
