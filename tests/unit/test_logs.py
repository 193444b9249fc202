"""What reaches the logs, in which form, and what never does."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline import logs
from syncline.auth.tokens import mint
from syncline.core.ids import DeviceId, IdentityId
from syncline.core.model import Viewer

log = logs.get_logger("syncline.tests")
TOKEN = mint(
    b"k" * 32, Viewer(identity=IdentityId("alice"), device=DeviceId("phone")), timedelta(days=1), datetime.now(UTC)
)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Logging is one for the process; other tests find it as they left it."""
    root, ours = logging.getLogger(), logging.getLogger("syncline")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = before


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level="info", format="json", stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_its_facts(stream: io.StringIO) -> None:
    log.info("drained", connections=3, closed=True)

    (line,) = lines(stream)
    assert line["event"] == "drained"
    assert (line["connections"], line["closed"]) == (3, True)
    assert (line["level"], line["logger"]) == ("info", "syncline.tests")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None


def test_what_is_less_severe_than_the_level_is_left_out(stream: io.StringIO) -> None:
    log.debug("quiet")

    assert stream.getvalue() == ""


def test_debug_shows_our_own_but_not_what_libraries_tell_of_contents(stream: io.StringIO) -> None:
    logs.configure(level="debug", format="json", stream=stream)

    log.debug("ours")
    logging.getLogger("websockets.server").debug("< TEXT '{}' [2 bytes]")
    logging.getLogger("uvicorn.access").info("GET /graphql?query=1")

    assert [line["event"] for line in lines(stream)] == ["ours"]


def test_libraries_are_logged_in_the_same_form(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("lost %s", "it")

    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("lost it", "warning", "uvicorn.error")


def test_configuring_again_replaces_where_logs_go(stream: io.StringIO) -> None:
    second = io.StringIO()
    logs.configure(level="info", format="json", stream=second)

    log.info("hello")

    assert stream.getvalue() == ""
    assert len(lines(second)) == 1


def test_console_is_for_reading() -> None:
    stream = io.StringIO()
    logs.configure(level="info", format="console", stream=stream)

    log.info("drained", connections=3)

    assert "drained" in stream.getvalue()
    assert "connections=3" in stream.getvalue()


def test_auto_is_json_when_nobody_looks() -> None:
    stream = io.StringIO()
    logs.configure(level="info", format="auto", stream=stream)

    log.info("drained")

    assert lines(stream)[0]["event"] == "drained"


def test_ids_are_fresh() -> None:
    assert len({logs.new_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "token",
        "dev_token",
        "accessToken",
        "secret",
        "token_secret",
        "secret_key",
        "password",
        "Cookie",
        "value",
        "baseValue",
        "record_value",
        "values",
        "variables",
        "X-Auth-Token",
    ],
)
def test_facts_of_secret_names_are_removed_at_every_depth(name: str, stream: io.StringIO) -> None:
    log.info("event", **{name: "hush", "nested": {"list": [{name: "hush"}]}})

    assert "hush" not in stream.getvalue()
    assert lines(stream)[0][name] == logs.REDACTED


@pytest.mark.parametrize("name", ["token_lifetime_days", "tokens", "key", "dataset", "valued", "variable_count"])
def test_facts_of_other_names_are_kept(name: str, stream: io.StringIO) -> None:
    log.info("event", **{name: "told"})

    assert lines(stream)[0][name] == "told"


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {TOKEN}",
        f"got {TOKEN}!",
        f"GET /graphql?token={TOKEN}&x=1",
        f"'{TOKEN}'",
        TOKEN.rpartition(".")[0],
        "authorization: bearer hush.hush.hush",
        "/graphql?access_token=hush",
    ],
)
def test_tokens_inside_of_texts_are_removed(text: str, stream: io.StringIO) -> None:
    log.info(text, detail=[text], fact={text: text})
    logging.getLogger("library").error("%s", text)

    assert TOKEN.split(".")[1] not in stream.getvalue()
    assert "hush" not in stream.getvalue()


def test_tokens_inside_of_tracebacks_are_removed(stream: io.StringIO) -> None:
    try:
        raise RuntimeError(f"refused {TOKEN}")
    except RuntimeError:
        log.exception("unexpected")

    (line,) = lines(stream)
    assert "RuntimeError: refused [redacted]" in line["exception"]
    assert TOKEN not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_do_not_show_what_variables_hold(form: logs.Format) -> None:
    stream = io.StringIO()
    logs.configure(level="info", format=form, stream=stream)

    def fail(record: str) -> None:
        raise RuntimeError(f"{len(record)} characters")

    try:
        fail("".join(["hu", "sh"]))
    except RuntimeError:
        log.exception("unexpected")

    assert "RuntimeError: 4 characters" in stream.getvalue()
    assert "hush" not in stream.getvalue()


def test_of_an_unknown_object_only_the_type_is_logged(stream: io.StringIO) -> None:
    @dataclass
    class Held:
        value: str = "hush"

    log.info("event", held=Held(), path=[b"hush"])

    assert lines(stream)[0]["held"] == "<Held>"
    assert "hush" not in stream.getvalue()


def test_long_and_deep_facts_are_cut(stream: io.StringIO) -> None:
    deep: list[Any] = []
    for _ in range(1_000):
        deep = [deep]

    log.info("x" * 100_000, many=list(range(100_000)), deep=deep, number=10**5_000)

    assert len(stream.getvalue()) < 10_000
    assert lines(stream)[0]["number"] == "<int>"


@given(
    facts=st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1).map("fact_{}".format),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=3,
    ),
    event=st.text(),
)
def test_anything_can_be_logged_as_valid_json(facts: dict[str, Any], event: str) -> None:
    stream = io.StringIO()
    logs.configure(level="info", format="json", stream=stream)

    log.info(event, **facts)

    assert len(lines(stream)) == 1
