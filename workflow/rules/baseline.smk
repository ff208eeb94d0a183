# Dense, window-only and recompute. The streaming rules share these bodies.


rule baseline_quality:
    input:
        model=undated_input(study.inputs.model_files()),
        tokens=undated_input(lambda wildcards: f"{RESULTS}/tokens/{wildcards.corpus}.parquet"),
    output:
        nll=f"{RESULTS}/nll/{{method}}/{{corpus}}.parquet",
    log:
        f"{RESULTS}/logs/nll/{{method}}/{{corpus}}.log",
    wildcard_constraints:
        method=one_of(study.methods_of("baseline")),
    conda:
        "../../envs/sinkbench.yaml"
    resources:
        gpu=gpu_slots,
    params:
        settings=lambda wildcards: study.quality_settings(
            wildcards.method, wildcards.corpus
        ),
    script:
        "../../scripts/measure_quality.py"


rule baseline_speed:
    input:
        model=undated_input(study.inputs.model_files()),
        tokens=undated_input(f"{RESULTS}/tokens/{study.config['speed']['corpus']}.parquet"),
    output:
        steps=f"{RESULTS}/speed/{{run}}.parquet",
    log:
        f"{RESULTS}/logs/speed/{{run}}.log",
    wildcard_constraints:
        run=one_of(study.runs_of("baseline")),
    conda:
        "../../envs/sinkbench.yaml"
    threads: timing_threads
    resources:
        gpu=gpu_slots,
    params:
        settings=lambda wildcards: study.speed_settings(wildcards.run),
    script:
        "../../scripts/measure_speed.py"
