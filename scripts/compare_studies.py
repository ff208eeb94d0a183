"""What two studies measured differently: python scripts/compare_studies.py results/a results/b"""

import sys
from pathlib import Path

from sinkbench.comparison import compare
from sinkbench.errors import UserError
from sinkbench.store import read_table


def main(first: str, second: str) -> int:
    """Print each row that differs beyond the intervals, and the count; 1 if any does."""
    frames = [read_table(Path(folder, "measurements.parquet"))[0] for folder in (first, second)]
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
