# Every text as token ids, once: all measuring jobs read these files.


rule tokenize:
    input:
        expand(f"{RESULTS}/tokens/{{corpus}}.parquet", corpus=study.corpora),


rule tokenize_corpus:
    input:
        undated_input(lambda wildcards: study.inputs.text_files(wildcards.corpus)),
    output:
        tokens=f"{RESULTS}/tokens/{{corpus}}.parquet",
        record=f"{RESULTS}/tokens/{{corpus}}.json",
    log:
        f"{RESULTS}/logs/tokenize/{{corpus}}.log",
    wildcard_constraints:
        corpus=one_of(study.corpora),
    priority: CHECKED_FIRST  # what is checked first reads one of them
    conda:
        "../../envs/sinkbench.yaml"
    params:
        settings=lambda wildcards: study.tokens_settings(wildcards.corpus),
    script:
        "../../scripts/tokenize_corpus.py"
