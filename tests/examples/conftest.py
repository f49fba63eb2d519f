from __future__ import annotations

import pytest
from postgres_server import Postgres, postgres


@pytest.fixture(scope="session")
def database(tmp_path_factory) -> Postgres:
    """A real Postgres with an empty database ``metrics``."""
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as server:
        yield server
