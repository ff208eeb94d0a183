# Tables, figures and pages: one job for all of a kind, each output with a caption of its own.
# scripts/sinkbench/report/catalogue.py says what they are.


rule tables:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
    output:
        [shown("tables", name) for name in config["tables"]],
        expand(
            f"{RESULTS}/tables/{{table}}.{{ending}}",
            table=config["tables"],
            ending=["csv", "md", "tex", "rst"],
        ),
    log:
        f"{RESULTS}/logs/tables.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        kind="tables",
        specs=catalogue.specs("tables", config),
    script:
        "../../scripts/render.py"


rule figures:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
    output:
        [shown("figures", name) for name in config["figures"]],
        expand(
            f"{RESULTS}/figures/{{figure}}.{{ending}}",
            figure=config["figures"],
            ending=["pdf", "rst"],
        ),
    log:
        f"{RESULTS}/logs/figures.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        kind="figures",
        specs=catalogue.specs("figures", config),
    script:
        "../../scripts/render.py"


rule pages:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
        environment=f"{RESULTS}/environment.json",
        figure=[
            f"{RESULTS}/figures/{name}.svg"
            for name in catalogue.headline_figure(config)
        ],
        continuations=refreshed_input(
            [
                f"{RESULTS}/continuations/{run}.parquet"
                for run in study.continued_runs()
            ]
        ),
    output:
        f"{RESULTS}/report/landing.rst",
        [shown_page(page) for page in catalogue.pages_of(config)],
    log:
        f"{RESULTS}/logs/pages.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        kind="pages",
        specs=catalogue.page_specs(config),
    script:
        "../../scripts/render.py"
