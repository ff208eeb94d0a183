# The same prompt continued by several runs, and a page to read them side by side.


rule continue_prompt:
    input:
        model=settled(study.origins.model_files()),
        tokens=settled(
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
        gpu=gpus_held,
    params:
        settings=lambda wildcards: study.continuation_settings(wildcards.run),
    script:
        "../../scripts/continue_prompt.py"


if study.continued_runs():

    rule continuations:
        input:
            ids=renewed(
                expand(
                    f"{RESULTS}/continuations/{{run}}.parquet",
                    run=study.continued_runs(),
                )
            ),
        output:
            page=report(
                f"{RESULTS}/report/continuations.html",
                category=catalogue.numbered("streaming"),
                labels=titled(lambda wildcards: "Continuations of one prompt"),
            ),
        log:
            f"{RESULTS}/logs/continuations.log",
        conda:
            "../../envs/sinkbench.yaml"
        params:
            facts=catalogue.continuation_facts(config),
        script:
            "../../scripts/render_continuations.py"
