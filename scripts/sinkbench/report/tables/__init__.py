"""Tables: a file each. `report/tables/<name>.py` defines:

    TITLE, CAPTION      what is shown, units, how intervals are made; {fields} of the caption are filled in
    CATEGORY            the part of the report that shows the table: one of catalogue.CATEGORIES
    CAPTION_FIELDS      facts of the config that caption and table need (catalogue.caption_fields)
    build(measurements, fields) the table

`build` gets the tidy table of measurements and the facts by name. It returns a DataFrame: headings carry the
units, cells are strings or estimate.Estimate, and an empty string is an empty cell. A column "Status" becomes
footnotes in every format but CSV (see report.formats).
"""

from pathlib import Path

from sinkbench import registry
from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report import formats
from sinkbench.report.rst import caption


def render(results: Path, specs: dict[str, dict]) -> None:
    """Write every table below results/tables in every format, with its caption beside.

    Args:
        results: folder of the study, which holds the measurements.
        specs: what each table's job is told (catalogue.specs), by its name.
    """
    source, folder = results / "measurements.parquet", results / "tables"
    measurements, _ = read_table(source)
    for name, spec in specs.items():
        table = registry.load("report/tables", name).build(measurements, spec["fields"])
        paths = [folder / f"{name}.{ending}" for ending in registry.available("report/formats")]
        for path in paths:
            formats.write(path, table, spec["title"], spec["caption"])
        write_text(folder / f"{name}.rst", caption(spec["caption"]))
        write_lineage(paths, spec, from_measurements(source))
