"""Fetch one page of the API into a file.

    python page_getter.py --page URL [--output /tmp/result.json]

Only small modules are imported: the crawler starts this program once a page.
"""

from __future__ import annotations

import argparse
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit


class RequestFailed(Exception):
    """The API could not be asked, or said no; the message says what and where."""


def request(method: str, url: str) -> bytes:
    """Send one HTTP request and return the answer's body.

    Raises:
        RequestFailed: no http:// address, no connection, or a status other than 200.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise RequestFailed(f"not an http:// address: {url!r}")
    connection = HTTPConnection(parts.hostname, parts.port, timeout=600)
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        raise RequestFailed(f"{method} {url}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise RequestFailed(f"{method} {url}: status {response.status}: {body[:200].decode(errors='replace')}")
    return body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", required=True, help="URL of the page")
    parser.add_argument("--output", default="/tmp/result.json")
    options = parser.parse_args()
    try:
        body = request("GET", options.page)
    except RequestFailed as error:
        sys.exit(f"page_getter: {error}")
    with open(options.output, "wb") as file:
        file.write(body)
    print(f"{len(body)} bytes of {options.page}")


if __name__ == "__main__":
    main()
