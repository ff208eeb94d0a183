PLAN = study.plan()


rule aggregate:
    input:
        self_checks=[
            f"{RESULTS}/self_check/{key}.parquet" for key in PLAN["self_checks"]
        ],
        quality=refreshed_input(
            [f"{RESULTS}/nll/{job}.parquet" for job in PLAN["stamps"]["quality"]]
        ),
        speed=[f"{RESULTS}/speed/{run}.parquet" for run in PLAN["stamps"]["speed"]],
        profile=[
            f"{RESULTS}/profile/{run}.parquet" for run in PLAN["stamps"]["profile"]
        ],
        recall=[
            f"{RESULTS}/recall/{method}.parquet" for method in PLAN["stamps"]["recall"]
        ],
        sinks=[
            f"{RESULTS}/sinks/{method}.parquet" for method in PLAN["stamps"]["sinks"]
        ],
        schema=undated_input("workflow/schemas/measurements.schema.yaml"),
    output:
        table=f"{RESULTS}/measurements.parquet",
        csv=report(
            f"{RESULTS}/measurements.csv",
            category=catalogue.menu_entry("provenance"),
            labels=report_labels("Every number, as CSV"),
        ),
        environment=report(
            f"{RESULTS}/environment.json",
            category=catalogue.menu_entry("provenance"),
            labels=report_labels("Environment, as JSON"),
        ),
    log:
        f"{RESULTS}/logs/aggregate.log",
    conda:
        "../../envs/sinkbench.yaml"
    resources:
        mem_mb=lambda wildcards, input: aggregation_mb(input.quality),
        runtime=lambda wildcards, input: aggregation_minutes(input.quality),
    params:
        plan=PLAN,
    script:
        "../../scripts/aggregate.py"
