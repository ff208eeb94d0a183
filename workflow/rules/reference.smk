# The tables, figures, environment and timings of a study as files to keep under version control:
# snakemake --cores 1 --configfile workflow/studies/latency.yaml reference


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
    output:
        directory(f"docs/reference/{study.name}"),
    log:
        f"{RESULTS}/logs/reference.log",
    localrule: True
    conda:
        "../../envs/sinkbench.yaml"
    script:
        "../../scripts/keep_reference.py"
