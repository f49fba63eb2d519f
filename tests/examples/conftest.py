from __future__ import annotations

import pytest
from postgres_server import Postgres, postgres


@pytest.fixture(scope="session")
def database() -> Postgres:
    """A real Postgres with an empty database ``metrics``."""
    with postgres() as server:
        yield server
