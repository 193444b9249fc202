"""What all tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.hypothesis_profiles import load_profile
from tests.support.postgres import PostgresServer

load_profile()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what is to run in the background so; the servers and devices of the tests would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One for all tests that only need databases; who kills it starts one of its own. It need not outlive a crash."""
    with PostgresServer("fsync=off", "synchronous_commit=on") as server:
        yield server
