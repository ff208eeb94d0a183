# Tables and figures, one job each, and the report's first page and its findings. scripts/sinkbench/catalogue.py says what they are.

from sinkbench import catalogue


wildcard_constraints:
    table=one_of(config["tables"]),
    figure=one_of(config["figures"]),


rule table:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
    output:
        report(
            f"{RESULTS}/tables/{{table}}.html",
            category="Tables",
            labels=titled(
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
        about=lambda wildcards: catalogue.describe("tables", wildcards.table, config),
    script:
        "../../scripts/render_table.py"


rule figure:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
    output:
        report(
            f"{RESULTS}/figures/{{figure}}.svg",
            category="Figures",
            labels=titled(
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
        about=lambda wildcards: catalogue.describe("figures", wildcards.figure, config),
    script:
        "../../scripts/render_figure.py"


rule landing:
    input:
        measurements=f"{RESULTS}/measurements.parquet",
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
            category="Findings",
            labels=titled(lambda wildcards: "Findings"),
        ),
    log:
        f"{RESULTS}/logs/findings.log",
    conda:
        "../../envs/sinkbench.yaml"
    params:
        facts=catalogue.findings_facts(config),
    script:
        "../../scripts/render_findings.py"
