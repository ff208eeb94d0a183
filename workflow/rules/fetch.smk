# Downloads, on a machine with a network: `snakemake --cores 1 fetch`. Elsewhere the folder is enough.


rule fetch:
    input:
        [f"resources/hub/{folder}.json" for folder in study.repositories()],


rule fetch_repository:
    output:
        "resources/hub/{folder}.json",
    params:
        repository=lambda wildcards: study.repositories()[wildcards.folder],
    log:
        "resources/hub/{folder}.log",
    conda:
        "../../envs/sinkbench.yaml"
    script:
        "../../scripts/fetch_repository.py"
