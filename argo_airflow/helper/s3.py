"""Artifact bytes to and from S3, streaming. boto3 is imported with the first client: who needs no S3 never pays for it.

Credentials are boto3's own chain (environment, web identity, instance role); nothing is created but the objects.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from argo_airflow.helper import HelperError
from argo_airflow.helper.contract import Location

_PART = 16 << 20  # 10,000 parts of a stream whose length nobody knows: 156 GiB


class StoreError(HelperError):
    """S3 refused, or cannot be reached."""


class NotFound(StoreError):
    """There is neither an object nor a folder with that key."""


class Store:
    """One bucket's objects, by an artifact's location."""

    def __init__(self, location: Location) -> None:
        """Raises StoreError for a location that is not S3 or lacks bucket or key."""
        place = location.get("s3")
        if not place:
            raise StoreError(f"location {', '.join(location) or 'missing'}: only s3 is supported")
        self.bucket, self.key = place.get("bucket", ""), place.get("key", "").lstrip("/")
        if not self.bucket or not self.key:
            raise StoreError(f"the s3 location has no {'key' if self.bucket else 'bucket'}")
        self._client = _client(_endpoint(place), place.get("region") or "")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def download(self, target: Path) -> None:
        """Fetch the object as a file or, where there is none, all below ``key/`` as a folder.

        Raises:
            NotFound: there is neither.
            StoreError: any other refusal.
        """
        with _plain_errors(self):
            if not self.key.endswith("/") and self._download_object(self.key, target):
                return
            prefix, found = self.key.rstrip("/") + "/", False
            for key in self._keys(prefix):
                found = True
                self._download_member(key, key[len(prefix) :], target)
        if not found:
            raise NotFound(f"{self} does not exist")

    def upload(self, stream: BinaryIO, member: str = "") -> None:
        """Store a stream of any length at the key, or at ``key/member``. Raises StoreError."""
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=2)
        key = f"{self.key.rstrip('/')}/{member}" if member else self.key
        with _plain_errors(self):
            self._client.upload_fileobj(stream, self.bucket, key, Config=config)

    def _download_object(self, key: str, target: Path) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._client.download_file(self.bucket, key, str(target))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return False
            raise
        return True

    def _download_member(self, key: str, relative: str, target: Path) -> None:
        if any(part in ("", ".", "..") for part in relative.rstrip("/").split("/")) and relative:
            raise StoreError(f"refused: the key {key!r} would leave its folder")
        if not relative or relative.endswith("/"):  # what some programs store to stand for a folder
            (target / relative).mkdir(parents=True, exist_ok=True)
            return
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        self._download_object(key, target / relative)

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", ()))


class _plain_errors:
    """Turns boto3's exceptions into StoreError with the place in front."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, StoreError):
            return
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, (Boto3Error, BotoCoreError, ClientError)):
            raise StoreError(f"{self.store}: {error}") from None


def _endpoint(place: dict[str, Any]) -> str:
    """Argo gives host:port and ``insecure``; a URL is taken as well."""
    endpoint = place.get("endpoint") or ""
    if not endpoint or "://" in endpoint:
        return endpoint
    return f"{'http' if place.get('insecure') else 'https'}://{endpoint}"


@cache
def _client(endpoint: str, region: str) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        s3={"addressing_style": "path"} if endpoint else None,
        retries={"mode": "standard", "max_attempts": 5},
        # newer boto3 sends checksums that many S3-compatible servers refuse
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if endpoint and not region:
        region = "us-east-1"  # only part of the signature there, but boto3 wants one
    try:
        return boto3.client("s3", endpoint_url=endpoint or None, region_name=region or None, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"S3 {endpoint}: {error}") from None
