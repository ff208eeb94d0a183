"""Check a config's `published`: figures of others that the table `known` compares."""

from sinkbench import registry
from sinkbench.errors import UserError, check_name

# What tells two rows apart; the schema has what the keys mean.
IDENTITY = ("model", "text", "method", "first", "last", "measure")


def check_published(config: dict) -> None:
    """Raise UserError for the first row that makes no sense, or if the table `known` has no rows."""
    rows = config.get("published", [])
    if "known" in config["tables"] and not rows:
        raise UserError("tables: known needs the key published")
    known: dict[tuple, int] = {}
    for index, row in enumerate(rows):
        where = f"published[{index}]"
        check_name(row["method"].split("-")[0], registry.available("policies"), f"{where}.method")
        if row["first"] > row["last"]:
            raise UserError(f"{where}.first: {row['first']} is more than last ({row['last']})")
        if ("corpus" in row) == ("why_not" in row):
            raise UserError(f"{where}.corpus: needed, or why_not in its place; one of the two")
        earlier = known.setdefault(tuple(row[key] for key in IDENTITY), index)
        if earlier != index:
            raise UserError(f"{where}.method: {row['method']} has the figure of published[{earlier}] again")
