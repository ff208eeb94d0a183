# Where the time of a decode step goes, part by part: one job per run, whatever its family.


rule profile:
    input:
        model=settled(study.origins.model_files()),
        tokens=settled(f"{RESULTS}/tokens/{study.config['speed']['corpus']}.parquet"),
    output:
        profile=f"{RESULTS}/profile/{{run}}.parquet",
    log:
        f"{RESULTS}/logs/profile/{{run}}.log",
    wildcard_constraints:
        run=one_of(study.profiled_runs()),
    conda:
        "../../envs/sinkbench.yaml"
    threads: cores_held_alone
    resources:
        gpu=gpus_held,
    params:
        settings=lambda wildcards: study.profile_settings(wildcards.run),
    script:
        "../../scripts/measure_profile.py"
