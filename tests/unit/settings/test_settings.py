"""Settings: who wins, and what a wrong one says."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from app.settings.settings import Settings, SettingsError, environment, load_settings

pytestmark = pytest.mark.usefixtures("folder")


def test_a_flag_wins_over_the_environment_and_that_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "driftline.toml").write_text('partitions = 2\napi_port = 2000\ngroup = "file"\n')
    monkeypatch.setenv("DRIFTLINE_API_PORT", "3000")
    monkeypatch.setenv("DRIFTLINE_GROUP", "environment")
    found = load_settings(group="flag")
    assert (found.partitions, found.api_port, found.group, found.prefix) == (2, 3000, "flag", "driftline.")


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_BOOTSTRAP_SERVERS", "")
    assert load_settings().bootstrap_servers is None


def test_servers_are_tidied() -> None:
    assert load_settings(bootstrap_servers="a:1, [::1]:9092").bootstrap_servers == "a:1,[::1]:9092"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bootstrap_servers", "kafka"),
        ("bootstrap_servers", "kafka:99999"),
        ("bootstrap_servers", "a:1,,b:2"),
        ("broker_port", 0),
        ("prefix", "a b"),
        ("prefix", "x" * 181),
        ("partitions", 0),
        ("replication", "two"),
        ("group", ""),
        ("api_port", 65_536),
        ("tick_seconds", 0),
        ("checkpoint_seconds", "nan"),
        ("reissue_seconds", -1),
        ("max_batch_records", 0),
        ("log_level", "loud"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_setting(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: .* DRIFTLINE_{name.upper()} ") as error:
        load_settings(**{name: value})
    assert "\n" not in str(error.value)


def test_a_setting_that_does_not_exist_is_named(folder: Path) -> None:
    (folder / "driftline.toml").write_text("partition = 2\n")
    with pytest.raises(SettingsError, match=r"^partition: there is no such setting"):
        load_settings()


def test_a_file_that_is_no_toml_is_named(folder: Path) -> None:
    (folder / "driftline.toml").write_text("partitions: 2\n")
    with pytest.raises(SettingsError, match=r"^driftline\.toml: "):
        load_settings()


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("given", "page"),
    [
        ({}, "http://127.0.0.1:8700"),
        ({"api_host": "10.0.0.5", "api_port": 80}, "http://10.0.0.5:80"),
        ({"api_host": "::1"}, "http://[::1]:8700"),
        ({"api_host": "0.0.0.0"}, f"http://{platform.node()}:8700"),
        ({"api_host": "::", "public_url": "https://drift.example.org/ml/"}, "https://drift.example.org/ml"),
    ],
)
def test_links_lead_to_the_public_address_or_to_where_the_api_listens(given: dict[str, object], page: str) -> None:
    assert load_settings(**given).page == page


@pytest.mark.parametrize(
    "value",
    ["drift.example.org", "ftp://x", "https://", "https://x/?a=b", "https://x/#/a", "https://x /", "https://[x"],
)
def test_a_public_address_that_is_none_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^public_url: "):
        load_settings(public_url=value)


def test_old_names_of_settings_count_with_a_line_that_names_the_new_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.settings.sources._reported", set())
    (folder / "driftline.toml").write_text("attempt_seconds = 3.0\nmax_run = 7\nmax_batch_records = 9\n")
    monkeypatch.setenv("DRIFTLINE_ALLOW_OPEN_API", "true")
    found = load_settings()
    assert (found.delivery_attempt_seconds, found.allow_unauthenticated_api, found.max_batch_records) == (3.0, True, 9)
    assert sorted(record.getMessage() for record in caplog.records) == [
        "DRIFTLINE_ALLOW_OPEN_API is deprecated: call it DRIFTLINE_ALLOW_UNAUTHENTICATED_API",
        "attempt_seconds in driftline.toml is deprecated: call it delivery_attempt_seconds",
        "max_run in driftline.toml is deprecated: call it max_batch_records",
    ]
    assert not {"DRIFTLINE_ALLOW_OPEN_API", "DRIFTLINE_MAX_RUN"} & environment(found).keys()


def test_a_new_name_in_the_environment_wins_over_the_old_one_in_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "driftline.toml").write_text("max_run = 7\n")
    monkeypatch.setenv("DRIFTLINE_MAX_BATCH_RECORDS", "11")
    assert load_settings().max_batch_records == 11
    monkeypatch.setenv("DRIFTLINE_MAX_RUN", "12")
    assert load_settings().max_batch_records == 11


def test_an_old_name_with_a_value_that_cannot_be_is_refused_by_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_MAX_RUN", "none")
    with pytest.raises(SettingsError, match="max_batch_records"):
        load_settings()


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (
            "api_prot = 1",
            r"^api_prot: there is no such setting; did you mean api_port\?; look for it in driftline\.toml$",
        ),
        ("colour = 1", r"^colour: there is no such setting; look for it in driftline\.toml$"),
        ('[[routes]]\nchanels = ["log"]', r"routes\[0\]\.chanels: there is no such key; did you mean channels\?"),
        ('[rules.traffic]\nlevle = "error"', r"rules\.traffic\.levle: there is no such key; did you mean level\?"),
        (
            "[models.churn.rules.traffic]\nfor_window = 2",
            r"for_window: there is no such key; did you mean for_windows\?",
        ),
        ('[models.churn]\nowners = "a"', r"models\.churn\.owners: there is no such key; did you mean owner\?"),
    ],
)
def test_a_mistyped_setting_in_the_file_is_named_with_the_one_that_was_meant(
    folder: Path, toml: str, words: str
) -> None:
    (folder / "driftline.toml").write_text(toml + "\n")
    with pytest.raises(SettingsError, match=words):
        load_settings()


def test_a_variable_with_our_prefix_that_is_no_setting_is_a_line_in_the_log_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.settings.sources._reported", set())
    secret = "not to be seen"
    names = {"DRIFTLINE_API_PROT": secret, "DRIFTLINE_COLOUR": secret, "DRIFTLINE_METRIC_PORT": "9090"}
    quiet = {
        "DRIFTLINE_API_KEY": secret, "DRIFTLINE_MAX_RUN": "7", "DRIFTLINE_EMPTY": "", "driftline_partitions": "2",
        "DRIFTLINE_API_SERVICE_HOST": "10.0.0.1", "DRIFTLINE_API_SERVICE_PORT_HTTP": "80",
        "DRIFTLINE_WEB_PORT": "tcp://10.0.0.1:80", "DRIFTLINE_WEB_PORT_80_TCP_ADDR": "10.0.0.1",
    }  # fmt: skip
    for name, value in {**names, **quiet}.items():
        monkeypatch.setenv(name, value)
    load_settings()
    load_settings()
    lines = [record.getMessage() for record in caplog.records if "deprecated" not in record.getMessage()]
    assert sorted(lines) == [
        "DRIFTLINE_API_PROT is no setting, and has no effect; did you mean DRIFTLINE_API_PORT?",
        "DRIFTLINE_COLOUR is no setting, and has no effect",
        "DRIFTLINE_METRIC_PORT is no setting, and has no effect; did you mean DRIFTLINE_METRICS_PORT?",
    ]
