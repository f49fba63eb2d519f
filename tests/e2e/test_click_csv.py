"""Story 001: a CSV into a new Postgres table each day, and a view that is switched to it."""

from __future__ import annotations

import re

import pytest


def tables(metrics) -> list[str]:
    sql = "select tablename from pg_tables where schemaname = 'public' and tablename like 'clicks%' order by 1"
    return [name for (name,) in metrics.sql(sql)]


def rows(metrics, table: str) -> list[list[str]]:
    return metrics.sql(f"select * from {table} order by campaign_id, start_time, num_clicks")


@pytest.fixture(scope="module")
def days(airflow, metrics):
    """Two runs: of each, the table it named and every table's rows after it."""
    found = []
    for _ in range(2):
        run = airflow.succeed("click-csv-to-pg")
        name = run.task("generate-tablename").outputs["result"]
        found.append((name, {table: rows(metrics, table) for table in tables(metrics)}))
    return found


def test_the_table_is_named_after_the_workflows_creation(days):
    for name, _ in days:
        assert re.fullmatch(r"clicks_20\d{12}000z", name)
    assert days[0][0] < days[1][0]


def test_each_run_made_its_own_table_and_loaded_the_whole_csv(days):
    (first, after_first), (second, after_second) = days
    assert list(after_first) == [first]
    assert list(after_second) == [first, second]
    assert len(after_second[second]) == 200
    assert len({campaign for campaign, *_ in after_second[second]}) == 10
    assert any(end == "" for *_, end in after_second[second])  # NULL ''


def test_the_first_table_is_intact_after_the_second_run(days):
    (first, after_first), (_, after_second) = days
    assert len(after_first[first]) == 200
    assert after_second[first] == after_first[first]


def test_the_view_shows_the_second_table(metrics, days):
    (first, _), (second, after) = days
    definition = metrics.sql("select replace(pg_get_viewdef('clicks'), chr(10), ' ')")[0][0]
    assert second in definition
    assert first not in definition
    assert rows(metrics, "clicks") == after[second] != after[first]


def test_both_tables_have_their_index(metrics, days):
    found = metrics.sql("select tablename, indexname from pg_indexes where schemaname = 'public' order by 1")
    assert found == [[name, f"{name}_campaign_id"] for name, _ in days]
