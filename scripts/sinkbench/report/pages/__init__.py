"""Pages of the report: a file each. `report/pages/<name>.py` defines:

render(results, spec)   the whole page as text, from what lies in the study's folder of results
"""

from pathlib import Path

from sinkbench import registry
from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.lineage import from_continuations, from_measurements, write_lineage


def render(results: Path, specs: dict[str, dict]) -> None:
    """Write every page below results/report.

    Args:
        results: folder of the study, which holds the measurements, figures and continuations.
        specs: what each page is told (catalogue.page_specs), by the name of its file.
    """
    for file, spec in specs.items():
        path = results / "report" / file
        write_text(path, registry.load("report/pages", path.stem).render(results, spec))
        continued = [results / f"continuations/{run}.parquet" for run in spec.get("runs", [])]
        inputs = (
            from_continuations(continued, spec)
            if continued
            else from_measurements(results / "measurements.parquet")
        )
        write_lineage([path], spec, inputs, continued)
