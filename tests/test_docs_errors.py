"""Codes, limits, numbers and log events: what the code has is documented, and what is documented the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import syncline
from syncline import client, errors
from syncline.auth.keys import LEAST_BYTES
from syncline.auth.tokens import MOST_BYTES, TokenAuthenticator
from syncline.bus.link import MAX_QUEUED_WITH_LETTERS
from syncline.cli_settings import facts
from syncline.config import Settings, variable
from syncline.core.changes import Change, Malformed
from syncline.core.checkpoint import ResyncReason
from syncline.core.conflicts import ChangeStatus
from syncline.core.json_values import MAX_DEPTH
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy
from syncline.core.pages import MAX_FEED_PAGE_BYTES, MAX_PAGE_RECORDS
from syncline.ports import MAX_LETTER_BYTES, Presented
from syncline.service.presence_room import PresenceTiming
from syncline.storage.sqlite_readers import MAX_WAITING_READS
from syncline.storage.sqlite_writer import MAX_GROUP_JOBS, MAX_WAITING_JOBS
from syncline.web.close_codes import CloseCode
from syncline.web.flush_tick import TICK_SECONDS
from syncline.web.limits import WebLimits
from syncline.web.server import BACKLOG
from tests.support.documents import ROOT, anchors, blocks, prose

PACKAGE = Path(syncline.__file__).parent
DOCS = ROOT / "docs"
OPERATIONS = DOCS / "operations.md"
PROTOCOL = DOCS / "protocol.md"
DATA_MODEL = DOCS / "data-model.md"
ARCHITECTURE = DOCS / "architecture.md"
ABOUT_CODES = [OPERATIONS, PROTOCOL, DATA_MODEL, DOCS / "conflicts.md"]

_DEFAULTS = Settings.model_construct()
"""Whatever this environment sets."""

CODES = {
    error.code
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.SynclineError)
    if "code" in vars(error)
}
CLOSE_CODES = {code.value for code in CloseCode}
NAMED_BUT_NEVER_SENT = {1006, 1011}
"""A broken connection has the one without anybody sending it; the other is named as the one that is not used."""

OTHER_CONSTANTS = {
    *(each.value for enum in (ResyncReason, ConflictPolicy, ChangeStatus) for each in enum),
    *(variable(name) for name in Settings.model_fields),
    *(name for name in vars(client) if name.isupper()),
    "PROMETHEUS_MULTIPROC_DIR",  # prometheus_client's own
}
CONSTANT = re.compile(r"`([A-Z][A-Z0-9_]{3,})`")
CLOSE_CODE = re.compile(r"\b(10[01]\d|44\d\d)\b")
ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
WORD = re.compile(r"`([^`]+)`")


def rows(page: Path, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    text = prose(page)
    assert heading.lstrip("# ").lower().replace(" ", "-") in anchors(page)
    section = re.split(r"^#{2,3} ", text.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [[cell.strip() for cell in row.split(" | ")] for row in ROW.findall(section)][2:]


def words(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return WORD.findall(cell)


def server_modules() -> Iterator[ast.Module]:
    """The syntax trees of the server, without those of the client."""
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "client":
            yield ast.parse(path.read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the server, with the name it is made by."""
    for tree in server_modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node


_OVER_LIMITS = {"LimitExceeded", "RateLimited"}


def limits_in_the_code() -> set[str]:
    """The names by which limits are told."""
    found: set[str] = set()
    for name, call in calls():
        named = [each.value for each in call.keywords if each.arg == "limit"] if name in _OVER_LIMITS else []
        for value in [*named, *(call.args[:1] if name == "_compare" else [])]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.add(value.value)
    return found


def events_in_the_code() -> set[str]:
    """What the server logs."""
    found: set[str] = set()
    for name, call in calls():
        if name.startswith("_log."):
            event = call.args[0]
            assert isinstance(event, ast.Constant)
            assert isinstance(event.value, str)
            found.add(event.value)
    return found


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def settings_of(group: str) -> dict[str, str]:
    """The settings of a group with their defaults, as a table has them."""
    return {
        name: f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        for name, field in Settings.model_fields.items()
        if facts(field)["group"] == group
    }


# --- errors -----------------------------------------------------------------------------------------------------------


def test_the_table_of_errors_has_exactly_the_codes_of_the_code() -> None:
    documented = [code for row in rows(OPERATIONS, "## Errors") for code in words(row[0])]
    assert sorted(documented) == sorted(CODES)


@pytest.mark.parametrize("page", ABOUT_CODES, ids=lambda page: page.name)
def test_a_constant_that_a_page_names_exists(page: Path) -> None:
    assert set(CONSTANT.findall(prose(page))) <= CODES | OTHER_CONSTANTS


def test_all_reasons_for_a_resync_are_documented() -> None:
    reasons = {word for row in rows(DATA_MODEL, "## When") for word in words(row[0])}
    assert reasons == set(ResyncReason)


# --- close codes ------------------------------------------------------------------------------------------------------


def test_the_operators_table_has_every_close_code() -> None:
    documented = [int(code) for row in rows(OPERATIONS, "## Close codes") for code in row[0].split(", ")]
    assert sorted(documented) == sorted({*CLOSE_CODES, 1006})


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_a_close_code_that_a_page_names_exists(page: Path) -> None:
    assert {int(code) for code in CLOSE_CODE.findall(prose(page))} <= CLOSE_CODES | NAMED_BUT_NEVER_SENT


# --- limits -----------------------------------------------------------------------------------------------------------


def test_the_table_of_limits_has_the_settings_with_their_defaults() -> None:
    documented = {words(row[1])[0]: row[2] for row in rows(DATA_MODEL, "## Limits")}
    assert documented == settings_of("Limits of what an identity keeps and sends")


def test_the_table_of_limits_names_them_as_answers_do() -> None:
    values = {camel(name): str(getattr(_DEFAULTS.limits, name)) for name in Limits.__dataclass_fields__}
    assert {words(row[0])[0]: row[2] for row in rows(DATA_MODEL, "## Limits")} == values


def test_the_table_of_what_is_forgotten_has_the_settings_with_their_defaults() -> None:
    documented = {words(row[0])[0]: row[1] for row in rows(DATA_MODEL, "## What is forgotten")}
    assert documented == settings_of("What is remembered, and how long")


def test_every_limit_that_an_answer_can_name_is_documented_with_its_setting() -> None:
    table = rows(OPERATIONS, "### Limits")
    assert {limit for row in table for limit in words(row[0])} == limits_in_the_code()
    assert {setting for row in table for setting in words(row[1])} <= Settings.model_fields.keys()


def test_all_kinds_of_changes_have_an_example() -> None:
    kinds = {
        camel(re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower())
        for kind in Change.__args__
        if kind is not Malformed
    }
    examples = "".join(block.text for block in blocks(DATA_MODEL) if block.text.startswith("# phone"))
    assert kinds == {kind for kind in kinds if f"{{{kind}: {{" in examples}


# --- numbers ----------------------------------------------------------------------------------------------------------

_KIB = 1024
_WEB = WebLimits.from_settings(_DEFAULTS)
_PRESENCE = _DEFAULTS.presence_limits
_TIMING = PresenceTiming()
_EXPIRES = f"{_TIMING.expires_after.total_seconds():g} s"
_UPDATES = (_PRESENCE.updates_per_second, _PRESENCE.updates_at_once)

STATED = [
    (DATA_MODEL, f"nested {MAX_DEPTH} levels deep"),
    (DATA_MODEL, f"at most `first` records (1 to {MAX_PAGE_RECORDS}, {MAX_PAGE_RECORDS} if left out)"),
    (
        DATA_MODEL,
        f"at most {MAX_PAGE_RECORDS} records, and at most {MAX_FEED_PAGE_BYTES // _KIB} KiB of keys and values",
    ),
    (DATA_MODEL, f"any JSON of at most {_PRESENCE.state_bytes // _KIB} KiB"),
    (DATA_MODEL, "set its state {} times a second, {} times at once".format(*_UPDATES)),
    (DATA_MODEL, f"at most {_PRESENCE.present} devices are present (`max_present`)"),
    (DATA_MODEL, f"have not heard of them for {_EXPIRES}"),
    (DATA_MODEL, f"tell each other every {_DEFAULTS.presence_interval_seconds:g} s"),
    (DATA_MODEL, f"at most {1 / _TIMING.between_passes.total_seconds():g} events a second of a dataset"),
    (PROTOCOL, "{:,} bytes; {} a second, {} at once".format(_PRESENCE.state_bytes, *_UPDATES)),
    (
        OPERATIONS,
        "{:,} bytes of a state, and {} updates a second of a device, {} at once".format(
            _PRESENCE.state_bytes, *_UPDATES
        ),
    ),
    (OPERATIONS, f"up to {_EXPIRES} longer (three times `presence_interval_seconds`)"),
    (ARCHITECTURE, f"bytes on a topic, at most {MAX_LETTER_BYTES // _KIB} KiB"),
    (ARCHITECTURE, f"when {MAX_QUEUED_WITH_LETTERS // _KIB} KiB wait for Redis"),
    (OPERATIONS, f"shorter than {LEAST_BYTES} bytes"),
    (OPERATIONS, f"A token has at most {MOST_BYTES // _KIB} KiB"),
    (OPERATIONS, f"`max_connections` ({_DEFAULTS.max_connections:,})"),
    (OPERATIONS, f"`net.core.somaxconn` to {BACKLOG:,}"),
    (OPERATIONS, f"`ping_interval_seconds` ({_DEFAULTS.ping_interval_seconds:g} s)"),
    (OPERATIONS, f"`max_body_bytes` ({_DEFAULTS.max_body_bytes // _KIB**2} MiB)"),
    (
        OPERATIONS,
        f"some {_WEB.drained_each_second} a second and all within {_WEB.drain_spread.total_seconds():g} s, "
        "so that their devices do not come back all at once",
    ),
    (OPERATIONS, f"`drain_timeout_seconds` ({_DEFAULTS.drain_timeout_seconds:g} s)"),
    (OPERATIONS, f"no `connection_init` within {_WEB.init_timeout.total_seconds():g} s"),
    (OPERATIONS, f"no answer to a ping within {_WEB.pong_timeout.total_seconds():g} s"),
    (OPERATIONS, f"the device took nothing for {_WEB.stall_timeout.total_seconds():g} s"),
    (OPERATIONS, f"receipts after {_DEFAULTS.receipt_retention_days:g} days"),
    (OPERATIONS, f"tombstones and deleted datasets after {_DEFAULTS.tombstone_retention_days:g}"),
    (OPERATIONS, f"tombstones beyond {_DEFAULTS.tombstones_per_dataset:,} in a dataset"),
    (
        OPERATIONS,
        f"({_WEB.max_pending_mutations:,} mutations, {MAX_WAITING_JOBS:,} writes, {MAX_WAITING_READS:,} reads)",
    ),
    (ARCHITECTURE, f"at most {MAX_GROUP_JOBS}, share one fsync"),
    (ARCHITECTURE, f"{MAX_PAGE_RECORDS} records, {MAX_FEED_PAGE_BYTES // _KIB} KiB"),
    (ARCHITECTURE, f"`sweep` (every {_DEFAULTS.sweep_interval_seconds:g} s)"),
    (ARCHITECTURE, f"**sender** of a connection is bounded ({_WEB.send_buffer_bytes // _KIB} KiB)"),
    (ARCHITECTURE, f"What is due to a socket within {TICK_SECONDS * 1000:g} ms leaves in one write"),
]


@pytest.mark.parametrize(("page", "text"), STATED, ids=lambda value: getattr(value, "name", None))
def test_a_number_that_a_page_states_is_that_of_the_code(page: Path, text: str) -> None:
    assert text in " ".join(prose(page).split())


# --- what else operators see ------------------------------------------------------------------------------------------


def test_the_table_of_log_events_has_exactly_those_of_the_server() -> None:
    documented = [event for row in rows(OPERATIONS, "## Logs") for event in words(row[0])]
    assert sorted(documented) == sorted(events_in_the_code())


async def test_a_token_made_as_the_page_says_is_accepted() -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    [example] = [block for block in blocks(OPERATIONS) if block.language == "python"]
    names: dict[str, Any] = {}
    exec(example.text, names)  # noqa: S102 # our own page
    authenticator = TokenAuthenticator(secret, lambda: datetime.now(UTC))
    credential = await authenticator.authenticate(Presented(token=names["token"](secret, "alice", "phone")))
    assert (credential.viewer.identity, credential.viewer.device) == ("alice", "phone")
