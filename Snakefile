# Which cache policy, number format and engine buys the best perplexity for its time per token?
# This file is the table of contents; the study itself is config.yaml.

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/freshness.smk"


report: f"results/{study.name}/report/landing.rst"


include: "workflow/rules/fetch.smk"
include: "workflow/rules/tokenize.smk"
include: "workflow/rules/baseline.smk"
include: "workflow/rules/streaming.smk"
include: "workflow/rules/engine.smk"
include: "workflow/rules/compile.smk"
include: "workflow/rules/attention.smk"
include: "workflow/rules/quantization.smk"
include: "workflow/rules/refresh.smk"
include: "workflow/rules/speculation.smk"
include: "workflow/rules/profile.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/continuation.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/demo_model.smk"


rule all:
    default_target: True
    input:
        results_of(study),
