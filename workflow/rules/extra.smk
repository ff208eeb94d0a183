# Beside the study; no target of its own needs these.

# What is there of a study that is not complete. It has no inputs, since Snakemake would make them: the script looks
# for what is current by its own stamp. While the study runs: python scripts/so_far.py


rule so_far:
    log:
        f"{RESULTS}/so_far/so_far.log",
    localrule: True
    conda:
        "../../envs/sinkbench.yaml"
    params:
        files=CONFIG_FILES,
    script:
        "../../scripts/so_far.py"


# The tables, figures, environment and timings of a study as files to keep under version control:
# snakemake --cores 1 --configfile workflow/studies/latency.yaml reference
# They are no output, since Snakemake removes a job's outputs before it starts and when it fails.


rule reference:
    input:
        shown=[
            *expand(
                f"{RESULTS}/tables/{{table}}.{{ending}}",
                table=config["tables"],
                ending=["csv", "md"],
            ),
            *expand(f"{RESULTS}/figures/{{figure}}.svg", figure=config["figures"]),
            f"{RESULTS}/environment.json",
        ],
        timings=[
            f"{RESULTS}/{kind}/{run}.parquet"
            for kind in ("speed", "profile")
            for run in PLAN["stamps"][kind]
        ],
    log:
        f"{RESULTS}/logs/reference.log",
    localrule: True
    conda:
        "../../envs/sinkbench.yaml"
    params:
        folder=f"docs/reference/{study.name}",
    script:
        "../../scripts/keep_reference.py"


# The demonstration model, trained anew. No other rule reads it: the study uses resources/demo-model.
# snakemake --configfile workflow/studies/train.yaml results/train/demo-model


rule train_demo_model:
    output:
        directory(f"{RESULTS}/demo-model"),
    log:
        f"{RESULTS}/logs/demo-model.log",
    conda:
        "../../envs/sinkbench.yaml"
    threads: timing_threads
    resources:
        gpu=gpu_slots,
    params:
        settings=config.get("training", {}) | {"device": config["device"]},
        code=code_of("train_demo_model.py", "sinkbench/text/corpora/stdlib.py"),
    script:
        "../../scripts/train_demo_model.py"


# What no job of this config makes: of runs that it once named, or that have another name now.
rule orphans:
    log:
        f"{RESULTS}/logs/orphans.log",
    localrule: True
    run:
        print(*orphans(study, RESULTS), sep="\n")


rule remove_orphans:
    log:
        f"{RESULTS}/logs/remove_orphans.log",
    localrule: True
    run:
        remove_orphans(orphans(study, RESULTS), RESULTS)
