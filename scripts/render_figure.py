"""One figure in every format."""

from sinkbench import drawing, figures
from sinkbench.errors import UserError
from sinkbench.job import job
from sinkbench.made import from_measurements, record_made
from sinkbench.readings import NotMeasured
from sinkbench.store import read_table


def render(measurements_path: str, about: dict, outputs: list[str]) -> None:
    """Draw the figure that `about` (catalogue.describe) names, and write it in the formats of the outputs."""
    measurements, _ = read_table(measurements_path)
    try:
        figure = drawing.draw(figures.load(about["word"]), measurements, about["words"])
    except NotMeasured as reason:
        hint = f" ({reason})" if str(reason) else ""
        raise UserError(
            f"figures: {about['word']} needs numbers that this study does not have{hint}"
        ) from None
    drawing.save(figure, about["title"], *outputs)
    record_made(outputs, about, from_measurements(measurements_path))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render(snakemake.input.measurements, snakemake.params.about, snakemake.output)
