"""Tables: a file each. `report/tables/<word>.py` defines:

    TITLE, CAPTION         what is shown, units, how intervals are made; {names} are filled from WORDS
    CATEGORY               the part of the report that it belongs to: one of catalogue.CATEGORIES
    WORDS                  facts of the config that caption and table need (catalogue.caption_fields)
    build(measurements, words)   the table

`build` gets the tidy table of measurements and the facts by name. It returns a DataFrame whose headings
carry the units and whose cells are strings or estimate.Estimate; an empty string is an empty cell.
"""

from pathlib import Path

from sinkbench import registry
from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report import formats


def render(results: Path, specs: dict[str, dict]) -> None:
    """Write every table below results/tables in every format, with its caption beside.

    Args:
        results: folder of the study, which holds the measurements.
        specs: what each table's job is told (catalogue.specs), by its name.
    """
    source, folder = results / "measurements.parquet", results / "tables"
    measurements, _ = read_table(source)
    for name, spec in specs.items():
        table = registry.load("report/tables", name).build(measurements, spec["words"])
        paths = [folder / f"{name}.{ending}" for ending in registry.available("report/formats")]
        for path in paths:
            formats.write(path, table, spec["title"], spec["caption"])
        write_text(folder / f"{name}.rst", spec["caption"])
        write_lineage(paths, spec, from_measurements(source))
