# The same methods, whose tokens a draft model proposes (speculative decoding).


use rule baseline_quality as speculation_quality with:
    wildcard_constraints:
        method=one_of(study.methods_of("speculation")),


rule speculation_speed:
    input:
        model=undated_input(study.inputs.model_files()),
        draft=undated_input(study.inputs.draft_files()),
        tokens=undated_input(f"{RESULTS}/tokens/{study.config['speed']['corpus']}.parquet"),
    output:
        steps=f"{RESULTS}/speed/{{run}}.parquet",
    log:
        f"{RESULTS}/logs/speed/{{run}}.log",
    wildcard_constraints:
        run=one_of(study.runs_of("speculation")),
    conda:
        "../../envs/sinkbench.yaml"
    threads: timing_threads
    resources:
        gpu=gpu_slots,
    params:
        settings=lambda wildcards: study.speculation_settings(wildcards.run),
    script:
        "../../scripts/measure_speculation.py"
