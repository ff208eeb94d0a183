"""Tables sorted in a browser: numbers by their values, whatever stands beside them, and empty cells last."""

import random
import re
import shutil
import subprocess

import pandas as pd
import pytest
from sinkbench import registry
from sinkbench.analysis.estimate import Estimate

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VALUES = [1446.0, 1.57, -3.0, 0.0, 12.5, 1.6e-7, 200.0]
ALL, EMPTY = "all", ""
# Presses the second heading as the Enter key does, and leaves the column's values in the page.
PRESS = """<script>
const button = document.querySelectorAll("thead button")[1];
for (let press = 0; press < {presses}; press++) button.click();
const cells = [...document.querySelectorAll("tbody td")];
document.title = [button.parentNode.ariaSort, ...cells.map((cell) => cell.textContent)].join("|");
button.focus();
document.body.dataset.focused = document.activeElement === button;
</script></body>"""


def estimates() -> list[Estimate | str]:
    """Numbers in several notations with intervals, notes and marks, a word and an empty cell, in no order."""
    looks = [{"spec": ",.0f"}, {"low": 1.55, "high": 1.59, "mark": "\N{DAGGER}"}, {"note": "against 1"}]
    cells = [Estimate(value, **looks[index % len(looks)]) for index, value in enumerate(VALUES)]
    cells += [ALL, EMPTY]
    random.Random(0).shuffle(cells)
    return cells


def page(cells: list) -> str:
    table = pd.DataFrame({"Run": [f"run {number}" for number in range(len(cells))], "N [ms]": cells})
    return registry.load("report/formats", "html").render(table, "Title", "Caption")


def shown(cell: Estimate | str) -> str:
    return f"{cell.number}{cell.interval}{cell.note}" if isinstance(cell, Estimate) else cell


def after(presses: int, cells: list, tmp_path) -> tuple[str, list[str], str]:
    """(aria-sort, texts of the column from top to bottom, whole document) after the heading was pressed."""
    path = tmp_path / "table.html"
    path.write_text(page(cells).replace("</body>", PRESS.replace("{presses}", str(presses))))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    document = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    order, *texts = re.search("<title>(.*)</title>", document)[1].split("|")
    return order, texts, document


@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed: how tables sort is not tested here")
@pytest.mark.parametrize(("presses", "order"), [(1, "ascending"), (2, "descending"), (3, "none")])
def test_a_heading_sorts_numbers_by_value_and_keeps_what_is_missing_last(presses, order, tmp_path):
    cells = estimates()
    ranked = sorted(filter(lambda cell: isinstance(cell, Estimate), cells), key=lambda cell: cell.value)
    expected = {"ascending": [*ranked, ALL, EMPTY], "descending": [*ranked[::-1], ALL, EMPTY], "none": cells}
    state, texts, document = after(presses, cells, tmp_path)
    assert (state, texts) == (order, [shown(cell) for cell in expected[order]])
    assert 'data-focused="true"' in document


def test_every_number_carries_its_value_and_nothing_else_does():
    cells = estimates()
    values = re.findall('data-value="([^"]*)"', page(cells))
    assert [float(value) for value in values] == [cell.value for cell in cells if isinstance(cell, Estimate)]
