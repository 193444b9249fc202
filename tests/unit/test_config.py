"""Settings: which source wins, and what a bad value is answered with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from syncline.cli_settings import effective
from syncline.config import SECRETS, Settings, flag, load, misspelt_variables, variable
from syncline.core.limits import Limits
from syncline.errors import StartRefused


def test_without_flags_and_variables_the_defaults_are_in_force() -> None:
    settings = load()

    assert settings == Settings()
    assert (settings.host, settings.port, settings.dev) == ("127.0.0.1", 8000, False)


def test_a_variable_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_MAX_RECORDS", "7")

    assert load().max_records == 7


def test_a_flag_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_MAX_RECORDS", "7")

    assert load({"max_records": "9"}).max_records == 9


def test_a_flag_that_was_not_given_leaves_the_variable_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_DEV", "true")

    assert load({"dev": None}).dev is True


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_PORT", "")

    assert load().port == 8000
    assert effective(load(), {})[1].source == "default"


def test_no_dotenv_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SYNCLINE_PORT=1234\n")
    monkeypatch.chdir(tmp_path)

    assert load().port == 8000


def test_graphiql_is_on_with_dev_unless_told_otherwise() -> None:
    assert not load().graphiql
    assert load({"dev": True}).graphiql
    assert not load({"dev": True, "graphiql": False}).graphiql


@pytest.mark.parametrize(("host", "on"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.7", False)])
def test_figures_are_told_by_default_where_only_this_machine_can_ask(host: str, on: bool) -> None:
    assert load({"host": host}).metrics is on
    assert load({"host": host, "metrics": True}).metrics
    assert not load({"host": host, "metrics": False}).metrics


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().port = 1


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("port", "abc", "must be a valid integer"),
        ("port", "-1", "must be greater than or equal to 0"),
        ("port", "65536", "must be less than or equal to 65535"),
        ("host", "two words", "must have no blanks"),
        ("data", "  ", "must name a folder"),
        ("dev", "maybe", "must be a valid boolean"),
        ("log_level", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
        ("log_format", "xml", "must be 'auto', 'json' or 'console'"),
        ("max_records", "0", "must be greater than or equal to 1"),
        ("max_body_bytes", "4MiB", "must be a valid integer"),
        ("stall_timeout_seconds", "inf", "must be a finite number"),
        ("ping_interval_seconds", "0", "must be greater than 0"),
        ("tombstone_retention_days", "nan", "must be a finite number"),
        ("tombstone_retention_days", "1e9", "must be less than or equal to 36500"),
    ],
)
def test_a_bad_value_is_refused_with_name_value_source_and_reason(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StartRefused) as by_flag:
        load({name: value})
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(StartRefused) as by_variable:
        load()

    assert by_flag.value.message == f"setting {name} = {value!r} (from {flag(name)}): {reason}"
    assert by_variable.value.message == f"setting {name} = {value!r} (from {variable(name)}): {reason}"


def test_all_bad_values_are_told_at_once() -> None:
    with pytest.raises(StartRefused) as refused:
        load({"port": "x", "max_depth": "-3"})

    assert "setting port = 'x'" in refused.value.message
    assert "setting max_depth = '-3'" in refused.value.message


def test_a_bad_dev_is_the_only_complaint_although_graphiql_depends_on_it() -> None:
    with pytest.raises(StartRefused) as refused:
        load({"dev": "maybe"})

    assert "graphiql" not in refused.value.message


def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_MAX_RECORD", "7")

    with pytest.raises(StartRefused, match="SYNCLINE_MAX_RECORD is no setting; did you mean SYNCLINE_MAX_RECORDS"):
        load()


@pytest.mark.parametrize(
    "name",
    ["SYNCLINE_SERVICE_HOST", "SYNCLINE_PORT_8000_TCP", "SYNCLINE_TOKEN", "SYNCLINE_URL", "PATH"],
)
def test_variables_of_others_are_let_be(name: str) -> None:
    assert misspelt_variables({name: "x"}) == {}


def test_the_secret_shows_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_TOKEN_SECRET", "s3cr3t" * 10)
    settings = load()

    assert "s3cr3t" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert "s3cr3t" not in repr(effective(settings, {}))


def test_effective_settings_tell_where_each_is_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNCLINE_MAX_DEPTH", "9")
    (tmp_path / "token-secret").write_text("x" * 40)
    (tmp_path / "token-secret").chmod(0o600)
    flags = {"data": str(tmp_path), "dev": True}

    rows = {row.name: row for row in effective(load(flags), flags)}

    assert rows.keys() == Settings.model_fields.keys()
    assert (rows["data"].value, rows["data"].source) == (str(tmp_path), "--data")
    assert (rows["max_depth"].value, rows["max_depth"].source) == (9, "SYNCLINE_MAX_DEPTH")
    assert (rows["port"].value, rows["port"].source) == (8000, "default")
    assert (rows["graphiql"].value, rows["graphiql"].source) == (True, "default with dev")
    assert (rows["token_secret"].value, rows["token_secret"].source) == ("********", str(tmp_path / "token-secret"))
    assert rows["max_dataset_bytes"].unit == "bytes"


def test_limits_and_retention_are_those_of_the_settings() -> None:
    settings = load(
        {
            "max_datasets": 1,
            "max_dataset_bytes": 2,
            "max_records": 3,
            "max_key_bytes": 4,
            "max_changes_per_sync": 5,
            "tombstone_retention_days": 0.5,
            "tombstones_per_dataset": 6,
            "receipt_retention_days": 2,
        }
    )

    assert settings.limits == Limits(datasets=1, dataset_bytes=2, records=3, key_bytes=4, changes_per_sync=5)
    assert settings.retention.tombstones == timedelta(hours=12)
    assert settings.retention.deleted_datasets == timedelta(hours=12)
    assert settings.retention.tombstones_per_dataset == 6
    assert settings.retention.receipts == timedelta(days=2)


def test_the_default_limits_are_those_of_the_core() -> None:
    assert load().limits == Limits()


def test_every_setting_says_what_it_is_and_in_which_unit() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert isinstance(field.json_schema_extra, dict), name
        unit = field.json_schema_extra["unit"]
        for ending in ("bytes", "seconds", "days"):
            assert (unit == ending) is name.endswith(f"_{ending}"), name
    assert Settings.model_fields.keys() >= SECRETS


@pytest.fixture(autouse=True)
def _no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
