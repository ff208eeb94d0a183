# Tables and figures, one job each, and the report's pages. scripts/sinkbench/report/catalogue.py says what they are.


wildcard_constraints:
    table=one_of(config["tables"]),
    figure=one_of(config["figures"]),


rule table:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
    output:
        report(
            f"{RESULTS}/tables/{{table}}.html",
            category=lambda wildcards: catalogue.category("tables", wildcards.table),
            labels=report_labels(
                lambda wildcards: catalogue.title("tables", wildcards.table)
            ),
            caption="../report/caption.rst",
        ),
        multiext(f"{RESULTS}/tables/{{table}}", ".csv", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/tables/{{table}}.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        about=lambda wildcards: catalogue.job_spec("tables", wildcards.table, config),
    script:
        "../../scripts/render_table.py"


rule figure:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
    output:
        report(
            f"{RESULTS}/figures/{{figure}}.svg",
            category=lambda wildcards: catalogue.category("figures", wildcards.figure),
            labels=report_labels(
                lambda wildcards: catalogue.title("figures", wildcards.figure)
            ),
            caption="../report/caption.rst",
        ),
        f"{RESULTS}/figures/{{figure}}.pdf",
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        about=lambda wildcards: catalogue.job_spec("figures", wildcards.figure, config),
    script:
        "../../scripts/render_figure.py"


rule landing:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
        figure=[
            f"{RESULTS}/figures/{word}.svg"
            for word in catalogue.headline_figure(config)
        ],
    output:
        page=f"{RESULTS}/report/landing.rst",
    log:
        f"{RESULTS}/logs/landing.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        facts=catalogue.landing_facts(config),
    script:
        "../../scripts/render_landing.py"


rule findings:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
    output:
        page=report(
            f"{RESULTS}/report/findings.html",
            category=catalogue.menu_entry("findings"),
            labels=report_labels(lambda wildcards: "Findings"),
        ),
    log:
        f"{RESULTS}/logs/findings.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        facts=catalogue.findings_facts(config),
    script:
        "../../scripts/render_findings.py"


rule provenance:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
        environment=f"{RESULTS}/environment.json",
    output:
        page=report(
            f"{RESULTS}/report/provenance.html",
            category=catalogue.menu_entry("provenance"),
            labels=report_labels(lambda wildcards: "Provenance"),
        ),
    log:
        f"{RESULTS}/logs/provenance.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        facts=catalogue.provenance_facts(config),
    script:
        "../../scripts/render_provenance.py"
