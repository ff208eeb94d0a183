# The demonstration model, trained anew. No other rule reads it: the study uses resources/demo-model.
# Ask for it by name: snakemake --configfile workflow/studies/train.yaml results/train/demo-model


rule train_demo_model:
    output:
        directory(f"{RESULTS}/demo-model"),
    log:
        f"{RESULTS}/logs/demo-model.log",
    conda:
        "../../envs/sinkbench.yaml"
    threads: timing_threads
    resources:
        gpu=gpu_slots,
    params:
        settings=config.get("training", {}) | {"device": config["device"]},
        code=code("train_demo_model.py", "sinkbench/text/corpora/stdlib.py"),
    script:
        "../../scripts/train_demo_model.py"
