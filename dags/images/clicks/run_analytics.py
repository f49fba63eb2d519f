"""The day's click analysis: writes a CSV of clicks by campaign.

    python run_analytics.py OUTPUT.csv [--rows 200] [--seed N]

Header: campaign_id (UUID), num_clicks, start_time, end_time (one hour, UTC). Different rows each time unless --seed.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import uuid
from datetime import UTC, datetime, timedelta

COLUMNS = ("campaign_id", "num_clicks", "start_time", "end_time")


def rows(count: int, generator: random.Random):
    """Yield ``count`` rows, hour by hour back from midnight."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    campaigns = [uuid.UUID(int=generator.getrandbits(128), version=4) for _ in range(10)]
    for number in range(count):
        end = midnight - timedelta(hours=number // len(campaigns))
        yield (
            campaigns[number % len(campaigns)],
            generator.randrange(10_000),
            (end - timedelta(hours=1)).isoformat(),
            # a few campaigns still run: an empty field, which the import reads as NULL
            "" if number % 17 == 0 else end.isoformat(),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    try:
        with open(options.output, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows(options.rows, random.Random(options.seed)))
    except OSError as error:
        sys.exit(f"run_analytics: {error}")
    print(f"{options.rows} rows in {options.output}")


if __name__ == "__main__":
    main()
