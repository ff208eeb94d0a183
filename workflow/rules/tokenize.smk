rule tokenize:
    input:
        undated_input(lambda wildcards: study.inputs.text_files(wildcards.corpus)),
    output:
        tokens=f"{RESULTS}/tokens/{{corpus}}.parquet",
        record=f"{RESULTS}/tokens/{{corpus}}.json",
    log:
        f"{RESULTS}/logs/tokenize/{{corpus}}.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        settings=lambda wildcards: study.tokens_settings(wildcards.corpus),
    script:
        "../../scripts/tokenize_corpus.py"
