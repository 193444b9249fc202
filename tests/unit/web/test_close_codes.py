from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncline.web.close_codes import CloseCode

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"
ROW = re.compile(r"^\| (?P<code>\d{4}) \| (?P<meaning>[^|]+) \| (?P<cause>.+) \| (?P<return>yes|no) \|$", re.MULTILINE)

# `shouldRetryConnectOrThrow` of graphql-ws 6.
FATAL_TO_GRAPHQL_WS = {4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500}
NOT_FATAL_BELOW_2000 = {1000, 1001, 1005, 1006, 1012, 1013, 1014}


def test_the_document_has_the_table_as_it_is() -> None:
    rows = {
        int(row["code"]): (row["meaning"], row["cause"], row["return"]) for row in ROW.finditer(PROTOCOL.read_text())
    }
    assert rows == {code.value: (code.meaning, code.cause, "yes" if code.may_return else "no") for code in CloseCode}


@pytest.mark.parametrize("code", CloseCode)
def test_graphql_ws_comes_back_exactly_where_it_may(code: CloseCode) -> None:
    fatal = code in FATAL_TO_GRAPHQL_WS or (1000 <= code <= 1999 and code not in NOT_FATAL_BELOW_2000)
    assert code.may_return is not fatal


def test_no_fault_of_the_server_keeps_a_device_away() -> None:
    assert not {1011, 4500} & set(CloseCode)
