"""Work on one fetched page and report it to the API.

python data_processor.py [--input /tmp/input.json]
"""

from __future__ import annotations

import argparse
import json
import sys

from page_getter import RequestFailed, request


def process(page: dict) -> int:
    """Report the begin, sum up the page's records, report the end; return the sum."""
    data = page["data"]
    request("POST", data["processing_url"])
    total = sum(record["value"] for record in data["records"])
    if "wait_url" in data:  # answered as soon as somebody has fetched the next page
        request("GET", data["wait_url"])
    request("POST", data["processed_url"])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", default="/tmp/input.json")
    options = parser.parse_args()
    try:
        with open(options.input, "rb") as file:
            page = json.load(file)
        print(f"page {page['data']['page']}: total {process(page)}")
    except (OSError, ValueError, KeyError, TypeError, RequestFailed) as error:
        sys.exit(f"data_processor: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
