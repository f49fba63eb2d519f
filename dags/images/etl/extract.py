"""Extract one table: the rows as CSV, and where its manifest lies.

python extract.py TABLE [--results /results.csv] [--manifest-location /tmp/manifest_location]
"""

from __future__ import annotations

import argparse
import csv

TABLES = {
    "views": (
        ("customer", "page"),
        [("ann", "home"), ("ann", "cart"), ("bob", "home"), ("cy", "home"), ("ann", "pay")],
    ),
    "payments": (("customer", "cents"), [("ann", 1250), ("bob", 300), ("ann", 50)]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=sorted(TABLES))
    parser.add_argument("--results", default="/results.csv")
    parser.add_argument("--manifest-location", default="/tmp/manifest_location")
    options = parser.parse_args()
    header, rows = TABLES[options.table]
    with open(options.results, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    with open(options.manifest_location, "w") as file:
        file.write(f"warehouse/{options.table}/manifest.json\n")
    print(f"{len(rows)} rows of {options.table}")


if __name__ == "__main__":
    main()
