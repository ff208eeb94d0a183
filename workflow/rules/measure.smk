# What the study measures, family by family. Each family is a target: snakemake --cores 1 streaming
# A family's jobs differ in nothing but their names, which show in the plan: streaming_quality, refresh_speed.

# The main result comes first, so that an interrupted study has it; then the families in their order.

PRIORITIES = {family: len(FAMILIES) - rank for rank, family in enumerate(FAMILIES)}


# Before anything is measured with a model, its NLLs are compared with those of transformers' own class. No measuring
# rule has the comparison as an input, since one that is made again would make all measurements old; the table has.
rule self_check:
    input:
        model=undated_input(
            lambda wildcards: (
                study.inputs.model_files()
                if wildcards.source == "model"
                else study.inputs.draft_files()
            )
        ),
        tokens=undated_input(TIMED_TOKENS),
    output:
        nll=f"{RESULTS}/self_check/{{source}}.parquet",
    log:
        f"{RESULTS}/logs/self_check/{{source}}.log",
    wildcard_constraints:
        source=one_of(study.self_checks()),
    priority: CHECKED_FIRST
    conda:
        "../../envs/sinkbench.yaml"
    resources:
        gpu=gpu_slots,
        runtime=LEAST_MINUTES,
    params:
        settings=lambda wildcards: study.self_check_settings(wildcards.source),
    script:
        "../../scripts/measure.py"


for family in FAMILIES:

    rule:
        name:
            family
        input:
            results_of_family(family),

    rule:
        name:
            f"{family}_quality"
        input:
            model=undated_input(study.inputs.model_files()),
            tokens=undated_input(
                lambda wildcards: f"{RESULTS}/tokens/{wildcards.corpus}.parquet"
            ),
        output:
            nll=f"{RESULTS}/nll/{{method}}/{{corpus}}.parquet",
        log:
            f"{RESULTS}/logs/nll/{{method}}/{{corpus}}.log",
        wildcard_constraints:
            method=one_of(study.methods_of(family)),
        priority: PRIORITIES[family]
        conda:
            "../../envs/sinkbench.yaml"
        resources:
            gpu=gpu_slots,
            runtime=lambda wildcards, input: scoring_minutes(
                study, wildcards.method, wildcards.corpus, input.tokens
            ),
        params:
            settings=lambda wildcards: study.quality_settings(
                wildcards.method, wildcards.corpus
            ),
        script:
            "../../scripts/measure.py"

    rule:
        name:
            f"{family}_speed"
        input:
            model=undated_input(study.inputs.model_files()),
            draft=undated_input(
                lambda wildcards: (
                    study.inputs.draft_files()
                    if study.runs[wildcards.run].drafts == "model"
                    else []
                )
            ),
            tokens=undated_input(TIMED_TOKENS),
        output:
            steps=f"{RESULTS}/speed/{{run}}.parquet",
        log:
            f"{RESULTS}/logs/speed/{{run}}.log",
        wildcard_constraints:
            run=one_of(study.runs_of(family)),
        priority: PRIORITIES[family]
        conda:
            "../../envs/sinkbench.yaml"
        threads: timing_threads
        resources:
            gpu=gpu_slots,
            runtime=lambda wildcards: timing_minutes(study, wildcards.run),
        params:
            settings=lambda wildcards: study.timing_settings(wildcards.run),
        script:
            "../../scripts/measure.py"


# Where the time of a decode step goes, part by part.
rule profile:
    input:
        model=undated_input(study.inputs.model_files()),
        tokens=undated_input(TIMED_TOKENS),
    output:
        profile=f"{RESULTS}/profile/{{run}}.parquet",
    log:
        f"{RESULTS}/logs/profile/{{run}}.log",
    wildcard_constraints:
        run=one_of(study.profiled_runs()),
    conda:
        "../../envs/sinkbench.yaml"
    threads: timing_threads
    resources:
        gpu=gpu_slots,
        runtime=lambda wildcards: timing_minutes(study, wildcards.run),
    params:
        settings=lambda wildcards: study.profile_settings(wildcards.run),
    script:
        "../../scripts/measure.py"


# What a method still knows of a passage that lies so many tokens back.
rule recall:
    input:
        model=undated_input(study.inputs.model_files()),
        tokens=undated_input(
            lambda wildcards: f"{RESULTS}/tokens/{config['recall']['corpus']}.parquet"
        ),
    output:
        nll=f"{RESULTS}/recall/{{method}}.parquet",
    log:
        f"{RESULTS}/logs/recall/{{method}}.log",
    wildcard_constraints:
        method=one_of(study.recalling_methods()),
    conda:
        "../../envs/sinkbench.yaml"
    resources:
        gpu=gpu_slots,
        runtime=lambda wildcards: recall_minutes(study, wildcards.method),
    params:
        settings=lambda wildcards: study.recall_settings(wildcards.method),
    script:
        "../../scripts/measure.py"


# Where dense attention goes: to a text's first tokens, by layer and head.
rule sinks:
    input:
        model=undated_input(study.inputs.model_files()),
        tokens=undated_input(
            lambda wildcards: f"{RESULTS}/tokens/{config['sink_shares']['corpus']}.parquet"
        ),
    output:
        shares=f"{RESULTS}/sinks/{{method}}.parquet",
    log:
        f"{RESULTS}/logs/sinks/{{method}}.log",
    wildcard_constraints:
        method=one_of(study.observed_methods()),
    conda:
        "../../envs/sinkbench.yaml"
    resources:
        gpu=gpu_slots,
        runtime=LEAST_MINUTES,
    params:
        settings=lambda wildcards: study.sink_settings(wildcards.method),
    script:
        "../../scripts/measure.py"


# One prompt continued by several runs, to be read side by side.
rule continuation:
    input:
        model=undated_input(study.inputs.model_files()),
        tokens=undated_input(
            lambda wildcards: f"{RESULTS}/tokens/{config['continuations']['corpus']}.parquet"
        ),
    output:
        ids=f"{RESULTS}/continuations/{{run}}.parquet",
    log:
        f"{RESULTS}/logs/continuations/{{run}}.log",
    wildcard_constraints:
        run=one_of(study.continued_runs()),
    conda:
        "../../envs/sinkbench.yaml"
    resources:
        gpu=gpu_slots,
    params:
        settings=lambda wildcards: study.continuation_settings(wildcards.run),
    script:
        "../../scripts/measure.py"
