"""Every code a Syncline server closes a WebSocket with: one table.

``may_return`` is what the npm client ``graphql-ws`` does with the code, so that its reconnecting does what we mean: it
gives up on 4400, 4401, 4406, 4409, 4429, 4500 and on all of 1000-1999 but 1000, 1001, 1005, 1006, 1012, 1013 and 1014.
That is why a fault of the server's own is 1013 and never 1011 or 4500: the device should come back.
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """A code with what it means, what causes it, and whether a client that gets it may connect again."""

    meaning: str
    cause: str
    may_return: bool

    def __new__(cls, code: int, meaning: str, cause: str, may_return: bool) -> CloseCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.cause = cause
        member.may_return = may_return
        return member

    NORMAL = (
        1000,
        "Normal closure",
        "the client closed the socket with this code; the server answers with the same",
        True,
    )
    PROTOCOL_ERROR = (1002, "Protocol error", "a frame breaks RFC 6455: unmasked, reserved bits, a bad opcode", False)
    INVALID_DATA = (1007, "Invalid data", "the reason in the client's close frame is not UTF-8", False)
    TOO_BIG = (1009, "Message too big", "a message is over the limit `messageBytes`", False)
    SERVICE_RESTART = (1012, "Service restart", "the server is draining; what was accepted has been finished", True)
    TRY_AGAIN_LATER = (
        1013,
        "Try again later",
        "the server cannot go on with this socket now: overload, a credential that cannot be looked up, the identity "
        "or its address has as much open or sent as it may, a subscription's log cannot be read, the device took "
        "nothing for `stallTimeout`, or a fault of the server's own",
        True,
    )
    BAD_REQUEST = (4400, "Bad request", "a message is not one of this protocol", False)
    UNAUTHORIZED = (
        4401,
        "Unauthorized",
        "no credential, or one that is not valid; or `subscribe` before `connection_ack`",
        False,
    )
    FORBIDDEN = (
        4403,
        "Forbidden",
        "the credential has expired, was revoked while the socket was open, is a guest's who has signed in, or an "
        "identity's that was erased; come back with a fresh one",
        True,
    )
    SUBPROTOCOL_NOT_ACCEPTABLE = (
        4406,
        "Subprotocol not acceptable",
        "the client did not offer `graphql-transport-ws`",
        False,
    )
    INIT_TIMEOUT = (
        4408,
        "Connection initialisation timeout",
        "no `connection_init` within the limit `initTimeout`",
        True,
    )
    SUBSCRIBER_EXISTS = (4409, "Subscriber already exists", "`subscribe` with the id of an active operation", False)
    TOO_MANY_INITS = (4429, "Too many initialisation requests", "a second `connection_init`", False)
    TERMINATED = (4499, "Terminated", "no answer to a `ping` within the limit `pongTimeout`", True)
