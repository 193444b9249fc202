from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.web import protocol
from syncline.web.close_codes import CloseCode
from syncline.web.protocol import (
    MAX_REASON_BYTES,
    Complete,
    ConnectionInit,
    Ping,
    Pong,
    ProtocolViolation,
    Subscribe,
    close_reason,
    decode,
    pong,
)

MESSAGES = (
    '{"type":"connection_init"}',
    '{"type":"connection_init","payload":null}',
    '{"type":"connection_init","payload":{"authorization":"Bearer x"}}',
    '{"type":"ping"}',
    '{"type":"ping","payload":{"a":1}}',
    '{"type":"pong","payload":null}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}"}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":{"a":[1.5]},"operationName":"a","extensions":{}}}',
    '{"type":"complete","id":"1"}',
)


def test_each_message_is_decoded_to_its_type() -> None:
    kinds = [type(decode(text)) for text in MESSAGES]
    assert kinds == [ConnectionInit] * 3 + [Ping, Ping, Pong, Subscribe, Subscribe, Complete]


def test_unknown_members_are_ignored() -> None:
    assert decode('{"future":[1],"type":"complete","id":"1"}') == Complete(id="1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "1",
        "[]",
        '"ping"',
        "{}",
        '{"type":null}',
        '{"type":1}',
        '{"type":"' + "x" * 100_000 + '"}',
        '{"type":"next","id":"1","payload":{}}',
        '{"type":"error","id":"1","payload":[]}',
        '{"type":"connection_ack"}',
        '{"type":"connection_init","payload":[]}',
        '{"type":"ping","payload":1}',
        '{"type":"ping","payload":[]}',
        '{"type":"pong","payload":"a"}',
        '{"type":"complete"}',
        '{"type":"complete","id":{}}',
        '{"type":"complete","id":""}',
        '{"type":"complete","id":"' + "x" * 129 + '"}',
        '{"type":"subscribe","id":"1"}',
        '{"type":"subscribe","id":"1","payload":null}',
        '{"type":"subscribe","id":"1","payload":{}}',
        '{"type":"subscribe","id":"1","payload":{"query":1}}',
        '{"type":"subscribe","id":"1","payload":{"query":"","variables":[]}}',
        '{"type":"subscribe","id":"1","payload":{"query":"","extensions":1}}',
        '{"type":"subscribe","id":"1","payload":{"query":"","operationName":{}}}',
        '{"type":"subscribe","id":"\\ud800","payload":{"query":""}}',
        '{"type":"subscribe","id":"1","payload":{"query":"","variables":{"a":' + "9" * 5_000 + "}}}",
        '{"type":"subscribe","id":"1","payload":{"query":"","variables":' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}}",
        '{"type":"ping","payload":' + "[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_bad_request(text: str) -> None:
    with pytest.raises(ProtocolViolation) as violation:
        decode(text)
    assert violation.value.code is CloseCode.BAD_REQUEST
    assert 0 < len(violation.value.reason.encode()) <= MAX_REASON_BYTES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
near_messages = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["connection_init", "ping", "pong", "subscribe", "complete", "next", ""]) | json_values,
        "id": st.text() | json_values,
        "payload": st.fixed_dictionaries(
            {}, optional={"query": json_values, "variables": json_values, "operationName": json_values}
        )
        | json_values,
    },
).map(json.dumps)


@given(st.text() | near_messages | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_any_text_is_a_message_or_a_violation(text: str) -> None:
    with contextlib.suppress(ProtocolViolation):
        decode(text)


@given(st.sampled_from(MESSAGES), st.data())
def test_a_damaged_message_is_a_message_or_a_violation(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    damaged = text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 3)) :]
    with contextlib.suppress(ProtocolViolation):
        decode(damaged)


@given(
    st.dictionaries(st.text(), json_values, max_size=4).map(
        lambda value: json.dumps(value, allow_nan=False) if _finite(value) else "{}"
    )
)
def test_a_pong_carries_the_payload_of_its_ping(payload: str) -> None:
    ping = decode('{"type":"ping","payload":' + payload + "}")
    assert isinstance(ping, Ping)
    assert json.loads(pong(ping.payload)) == {"type": "pong", "payload": json.loads(payload)}


def _finite(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def test_a_ping_without_payload_gets_a_pong_without() -> None:
    assert pong() == b'{"type":"pong"}'


@given(st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable() or "\n" in text))
def test_a_payload_is_spliced_in_as_it_is(operation_id: str) -> None:
    payload = b'{"data":{"a":"\xc3\xa9"}}'
    message = protocol.before_payload(operation_id) + payload + b"}"
    assert json.loads(message) == {"id": operation_id, "type": "next", "payload": {"data": {"a": "é"}}}
    assert json.loads(protocol.complete(operation_id)) == {"id": operation_id, "type": "complete"}


def test_errors_may_be_ready_json() -> None:
    expected = {"id": "1", "type": "error", "payload": [{"message": "m"}]}
    assert json.loads(protocol.error("1", [{"message": "m"}])) == expected
    assert json.loads(protocol.error("1", msgspec.Raw(b'[{"message":"m"}]'))) == expected


@given(st.text())
def test_a_close_reason_always_fits_into_its_frame(text: str) -> None:
    assert len(close_reason(text).encode()) <= MAX_REASON_BYTES
