"""Story 004: extract, extract, transform; a coin flipped by recursion; a diamond."""

from __future__ import annotations

import json

import boto3
import pytest


def content(stack, artifact: dict) -> bytes:
    """What the S3 server holds of an output artifact."""
    storage, place = stack.storage, artifact["s3"]
    client = boto3.client(
        "s3",
        endpoint_url=storage.endpoint,
        aws_access_key_id=storage.access_key,
        aws_secret_access_key=storage.secret_key,
        region_name="us-east-1",
    )
    return client.get_object(Bucket=place["bucket"], Key=place["key"])["Body"].read()


@pytest.fixture(scope="module")
def transformed(airflow):
    return airflow.succeed("extract-transform")


def test_the_manifest_and_both_tables_reach_the_transformer(transformed):
    summary = json.loads(transformed.task("transform").outputs["parameters"]["summary"])
    # by hand from the rows in dags/images/etl/extract.py
    assert summary == {"customers": 3, "views": 5, "cents": 1600, "manifest": "warehouse/payments/manifest.json"}


def test_the_transformer_began_when_both_extracts_had_ended(transformed):
    begin = transformed.task("transform").started
    assert transformed.task("get-views").ended <= begin
    assert transformed.task("get-payments").ended <= begin


def test_the_artifacts_lie_in_the_bucket(stack, transformed):
    import gzip
    import io
    import tarfile

    packed = content(stack, transformed.task("transform").outputs["artifacts"]["results"])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:  # Argo's default: tar and gzip
        (member,) = [member for member in archive if member.isfile()]
        assert archive.extractfile(member).read() == b"customer,views,cents\nann,3,1300\nbob,1,300\ncy,1,0\n"


def test_the_coin_is_flipped_until_it_shows_heads(airflow):
    """Run until one run did recurse (each does with probability 1/2; that 20 do not is one in a million)."""
    for _ in range(20):
        run = airflow.succeed("coinflip-recursive")
        assert run.task("coinflip").outputs["phase"] == "Succeeded"
        *earlier, last = airflow.children(run, "coinflip")
        assert last.task("flip-coin").outputs["result"] == "heads"
        assert (last.task("heads").state, last.task("tails").state) == ("success", "skipped")
        for flip in earlier:
            assert flip.task("flip-coin").outputs["result"] == "tails"
            assert (flip.task("heads").state, flip.task("tails").state) == ("skipped", "success")
        if earlier:
            return
    pytest.fail("no run recursed")


def test_the_diamond(airflow):
    run = airflow.succeed("dag-diamond")
    a, b, c, d = (run.task(name) for name in "ABCD")
    assert a.ended <= min(b.started, c.started)
    assert max(b.ended, c.ended) <= d.started
    assert [task.outputs["result"] for task in (a, b, c, d)] == ["A", "AB", "AC", "AB+AC=D"]


def test_a_parameter_given_at_the_trigger(airflow):
    assert "< hello world >" in airflow.succeed("hello-world").task("hello").outputs["parameters"]["said"]
    changed = airflow.succeed("hello-world", message='a "quoted" $HOME {{item}}')
    assert '< a "quoted" $HOME {{item}} >' in changed.task("hello").outputs["parameters"]["said"]
