"""Devices for the client's unit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.client.core_log import CoreLog
from tests.unit.client.local_device import LocalDevice

MakeDevice = Callable[[str], LocalDevice]


@pytest.fixture
def log() -> CoreLog:
    return CoreLog()


@pytest.fixture
def make_device(log: CoreLog) -> Iterator[MakeDevice]:
    made: list[LocalDevice] = []

    def make(name: str) -> LocalDevice:
        made.append(LocalDevice(name, ":memory:", log))
        return made[-1]

    yield make
    for device in made:
        device.close()


@pytest.fixture
def phone(make_device: MakeDevice) -> LocalDevice:
    return make_device("phone")


@pytest.fixture
def laptop(make_device: MakeDevice) -> LocalDevice:
    return make_device("laptop")


@pytest.fixture
def file_device(log: CoreLog, tmp_path: Path) -> Iterator[LocalDevice]:
    """A device whose file outlives a crash."""
    device = LocalDevice("phone", tmp_path / "phone.db", log)
    yield device
    device.close()
