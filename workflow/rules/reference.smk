# The tables, figures and environment of a study as files to keep under version control:
# snakemake --cores 1 --configfile workflow/studies/latency.yaml reference


rule reference:
    input:
        expand(
            f"{RESULTS}/tables/{{table}}.{{ending}}",
            table=config["tables"],
            ending=["csv", "md"],
        ),
        expand(f"{RESULTS}/figures/{{figure}}.svg", figure=config["figures"]),
        f"{RESULTS}/environment.json",
    output:
        directory(f"docs/reference/{study.name}"),
    log:
        f"{RESULTS}/logs/reference.log",
    localrule: True
    conda:
        "../../envs/sinkbench.yaml"
    shell:
        "(mkdir -p {output} && cp {input} {output}) > {log} 2>&1"
