# Where the time of a decode step goes, part by part: one job per run, whatever its family.


rule profile:
    input:
        model=undated_input(study.inputs.model_files()),
        tokens=undated_input(f"{RESULTS}/tokens/{study.config['speed']['corpus']}.parquet"),
    output:
        profile=f"{RESULTS}/profile/{{run}}.parquet",
    log:
        f"{RESULTS}/logs/profile/{{run}}.log",
    wildcard_constraints:
        run=one_of(study.profiled_runs()),
    conda:
        "../../envs/sinkbench.yaml"
    threads: timing_threads
    resources:
        gpu=gpu_slots,
    params:
        settings=lambda wildcards: study.profile_settings(wildcards.run),
    script:
        "../../scripts/measure_profile.py"
