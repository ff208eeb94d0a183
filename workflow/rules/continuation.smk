# The same prompt continued by several runs, and a page to read them side by side.


rule continue_prompt:
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
        "../../scripts/continue_prompt.py"


if study.continued_runs():

    rule continuations:
        input:
            ids=refreshed_input(
                expand(
                    f"{RESULTS}/continuations/{{run}}.parquet",
                    run=study.continued_runs(),
                )
            ),
        output:
            page=report(
                f"{RESULTS}/report/continuations.html",
                category=catalogue.menu_entry("streaming"),
                labels=report_labels(lambda wildcards: "Continuations of one prompt"),
            ),
        log:
            f"{RESULTS}/logs/continuations.log",
        conda:
            "../../envs/sinkbench.yaml"
        params:
            facts=catalogue.continuation_facts(config),
        script:
            "../../scripts/render_continuations.py"
