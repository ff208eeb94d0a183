"""The library's rooms: their imports are those of the table in docs/architecture.md, and go one way."""

import ast
from collections import Counter
from graphlib import TopologicalSorter

import pytest
from helpers import ROOT

LIBRARY = ROOT / "scripts/sinkbench"
PAGE, HEADING = ROOT / "docs/architecture.md", "| room | may import |"
FOR_ALL = {"errors", "registry"}  # modules beside the rooms, which every room may import
MOST_FILES = 25  # of a folder


def imported(source: str) -> set[str]:
    """What a module imports of the library: rooms, and modules that lie beside them."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    own = [name.split(".") for name in names if name.split(".")[0] == "sinkbench"]
    return {parts[1] for parts in own if len(parts) > 1}


def imports_of_rooms() -> dict[str, set[str]]:
    """Other rooms that each room imports."""
    rooms = [path.parent for path in LIBRARY.glob("*/__init__.py")]
    found = {room.name: (imported(path.read_text()) for path in room.rglob("*.py")) for room in rooms}
    return {room: set().union(*each) - FOR_ALL - {room} for room, each in found.items()}


def documented(page: str) -> dict[str, set[str]]:
    """The table of docs/architecture.md: rooms that each room may import."""
    _, rows = page.split(f"{HEADING}\n| --- | --- |\n")
    table = {}
    for row in rows.splitlines():
        if not row.startswith("|"):
            break
        room, others = (cell.strip(" `") for cell in row.strip("|").split("|"))
        table[room] = {other.strip(" `") for other in others.split(",")} - {""}
    return table


def differences(documented: dict[str, set[str]], found: dict[str, set[str]]) -> list[str]:
    """Arrows between rooms that only the table or only the code has."""
    arrows = [{(room, other) for room in each for other in each[room]} for each in (documented, found)]
    rooms = [f"{room}: in one of table and code alone" for room in sorted(set(documented) ^ set(found))]
    added = [f"{room} imports {other}: not in the table" for room, other in sorted(arrows[1] - arrows[0])]
    unused = [f"{room} imports {other} no more" for room, other in sorted(arrows[0] - arrows[1])]
    return rooms + added + unused


def test_rooms_import_what_the_table_says():
    assert differences(documented(PAGE.read_text()), imports_of_rooms()) == []


def test_an_arrow_that_only_one_of_them_has_is_found():
    page = f"{HEADING}\n| --- | --- |\n| low | |\n| `high` | low, other |\n\nwords\n"
    assert documented(page) == {"low": set(), "high": {"low", "other"}}
    found = {
        "low": imported("from sinkbench.high.module import f\nimport sinkbench.registry"),
        "high": {"low"},
    }
    assert differences(documented(page), {room: each - FOR_ALL for room, each in found.items()}) == [
        "low imports high: not in the table",
        "high imports other no more",
    ]


def test_imports_form_no_circle():
    TopologicalSorter(imports_of_rooms()).prepare()


@pytest.mark.parametrize("room", sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py")))
def test_a_room_imports_no_other_room_by_itself(room):
    assert imported((LIBRARY / room / "__init__.py").read_text()) - FOR_ALL - {room} == set()


def test_beside_the_rooms_lies_only_what_all_share():
    assert {path.stem for path in LIBRARY.glob("*.py")} == FOR_ALL | {"__init__"}
    for name in FOR_ALL:
        assert imported((LIBRARY / f"{name}.py").read_text()) <= FOR_ALL


def test_no_folder_has_too_many_files():
    files = Counter(path.parent for path in LIBRARY.rglob("*.py"))
    assert {str(folder): count for folder, count in files.items() if count > MOST_FILES} == {}
