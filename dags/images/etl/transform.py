"""Join views and payments by customer: views and cents of each, as CSV, and a summary as JSON.

python transform.py --manifest LOCATION VIEWS.csv PAYMENTS.csv [--results /results.csv] [--summary /tmp/summary.json]
"""

from __future__ import annotations

import argparse
import csv
import json


def read(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", required=True)
    parser.add_argument("views")
    parser.add_argument("payments")
    parser.add_argument("--results", default="/results.csv")
    parser.add_argument("--summary", default="/tmp/summary.json")
    options = parser.parse_args()
    views, payments = read(options.views), read(options.payments)
    customers = sorted({row["customer"] for row in views + payments})
    with open(options.results, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("customer", "views", "cents"))
        for customer in customers:
            cents = sum(int(row["cents"]) for row in payments if row["customer"] == customer)
            writer.writerow((customer, sum(row["customer"] == customer for row in views), cents))
    summary = {
        "customers": len(customers),
        "views": len(views),
        "cents": sum(int(row["cents"]) for row in payments),
        "manifest": options.manifest,
    }
    with open(options.summary, "w") as file:
        json.dump(summary, file)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
