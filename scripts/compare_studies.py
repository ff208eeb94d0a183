"""What two studies measured differently: python scripts/compare_studies.py results/a results/b"""

import sys
from pathlib import Path

from sinkbench.artifacts.parquet import read_table
from sinkbench.errors import UserError
from sinkbench.results.compare import compare
from sinkbench.results.provenance import differences


def main(first: str, second: str) -> int:
    """Print the provenance and the rows that differ, and the rows' count; 1 if there are any."""
    frames = [read_table(Path(folder, "measurements.parquet"))[0] for folder in (first, second)]
    for column, one, other in differences(*frames):
        print(f"made with another {column}: {one} | {other}")
    found, compared = compare(*frames)
    for row in found.itertuples():
        print(f"{row.where}: {row.first} | {row.second} ({row.why})")
    print(f"{len(found)} of {compared} rows differ beyond their intervals")
    return int(len(found) > 0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
