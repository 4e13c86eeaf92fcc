"""`[[monitor.receivers]]`: what is taken, what stops the start, and where secrets come from."""

import re
from pathlib import Path

import pytest

from monitoring.dispatch.mailroom import mailroom
from monitoring.dispatch.receiver import Kind
from monitoring.dispatch.receiver_settings import ReceiverSettings
from monitoring.errors import SettingsInvalid
from monitoring.outbox import Outbox
from monitoring.settings import load
from tests.unit.monitoring.process import ROOT
from tests.unit.monitoring.receiver import SECRET

TABLE = """
[monitor]
retrain_max_per_day = 2
retrain_gate = "loss"
gate_without_labels = "hold"

[[monitor.receivers]]
name = "pager"
kind = "alertmanager"
url = "http://127.0.0.1:9093"
labels = { team = "ml" }

[[monitor.receivers]]
name = "chat"
kind = "slack"
url_file = "{url_file}"
models = ["pay*"]
resolved = true
group = "1m"
repeat = "4h"

[[monitor.receivers]]
name = "airflow"
kind = "airflow"
url = "https://airflow.example/"
dag = "retrain"
token_file = "{url_file}"

[[monitor.receivers]]
name = "actions"
kind = "github"
repository = "acme/ml"
workflow = "retrain.yml"
token_file = "{url_file}"
"""


def home_with(directory: Path, text: str) -> Path:
    secret = directory / "secret"
    secret.write_text("https://hooks.slack.example/T/B/x\n")
    (directory / "plumbline.toml").write_text(text.replace("{url_file}", str(secret)))
    return directory


def test_receivers_of_the_file_are_put_together_with_their_own_defaults(tmp_path: Path) -> None:
    settings = load(home_with(tmp_path, TABLE))
    outbox = Outbox(tmp_path / "outbox", pending_max=10, delivered_kept=10)
    made = mailroom(settings, outbox, frozenset, lambda facts: facts.loss)
    pager, chat, airflow, actions = made.desk.receivers
    assert (pager.kind, pager.resolved, pager.repeat_s, pager.retrains) == (Kind.ALERTMANAGER, True, 60.0, False)
    assert (chat.group_s, chat.repeat_s, chat.resolved, chat.models) == (60.0, 14_400.0, True, ("pay*",))
    assert (airflow.dag, airflow.api, airflow.retrains) == ("retrain", "v2", True)
    assert (actions.repository, actions.retrains, actions.resolved) == ("acme/ml", True, False)
    assert [courier.url for courier in made.couriers] == [
        "http://127.0.0.1:9093",
        "https://hooks.slack.example/T/B/x",
        "https://airflow.example/",
        "https://api.github.com",
    ]
    assert made.desk.policy.retrain_max_per_day == 2
    assert (made.desk.policy.gate, made.desk.policy.without_labels) == (True, "hold")
    assert made.status().receiver == "127.0.0.1"
    assert "hooks.slack" not in repr(made.status()), "a url may be a secret"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"kind": "pigeon"}, "kind"),
        ({"name": "webhook"}, "is the name of webhook_url"),
        ({"name": "Chat room"}, "name"),
        ({"token": "x"}, "token"),
        ({"secret": "x"}, "secret"),
        ({"headers": {"Authorization": "x"}}, "a secret in headers"),
        ({"headers": {"x-auth-token": "x"}}, "a secret in headers: headers_file and headers_env"),
        ({"headers": {"Private-Token": "x"}}, "a secret in headers"),
        ({"headers": {"api-key": "x"}}, "a secret in headers"),
        ({"headers": {"x-hub-signature-256": "x"}}, "a secret in headers"),
        ({"headers": {"x-client-secret": "x"}}, "a secret in headers"),
        ({"headers": {"X-Password": "x"}}, "a secret in headers"),
        ({"headers": {"x-team": "a\nb"}}, "a header's value is one line of printable ASCII"),
        ({"headers": {"x-team": ""}}, "a header's value"),
        ({"headers": {"x-team": "ä"}}, "a header's value"),
        ({"headers": {"x-ä": "a"}}, "a header's name"),
        ({"headers_env": {"x token": "A"}}, "a header's name"),
        ({"headers": {"Content-Type": "a/b"}}, "a header that the monitor writes itself"),
        ({"headers": {"X-Team": "a", "x-team": "b"}}, "a header twice"),
        ({"headers_env": {"api-key": "A"}, "headers_file": {"Api-Key": "a"}}, "a header twice"),
        ({"headers_env": {"authorization": "A"}, "token_env": "B"}, "are the header authorization"),
        ({"headers_env": {f"x-{n}": "A" for n in range(21)}}, "at most 20 headers"),
        ({"kind": "alertmanager", "labels": {"team-name": "ml"}}, "a label's name"),
        ({"kind": "alertmanager", "labels": {"1team": "ml"}}, "a label's name"),
        ({"template": "${MODEL}"}, "template"),
        ({"kind": "slack", "template": "x"}, "a template is for webhook"),
        ({"kind": "slack", "secret_file": "x"}, "a secret is for webhook"),
        ({"group": 5}, "group is for slack"),
        ({"kind": "airflow"}, "airflow needs dag"),
        ({"kind": "airflow", "dag": "a/b"}, "dag"),
        ({"kind": "github", "workflow": "x"}, "github needs repository"),
        ({"kind": "github", "repository": "a/b/c", "workflow": "x"}, "github needs repository"),
        ({"kind": "github", "repository": "a/b", "workflow": "x", "resolved": True}, "hear of no end"),
        ({"repeat": 5}, "asked for once"),
        ({"kind": "alertmanager", "repeat": 0}, "needs a repeat"),
        ({"kind": "alertmanager", "dag": "x"}, "dag is for airflow"),
        ({"labels": {"a": "b"}}, "labels are for alertmanager"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(table: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ReceiverSettings(**{"name": "one", "kind": "webhook", "url": "https://a.example", **table})


URLS = [
    "ftp://a.example",
    "https://",
    "https://user:pass@a.example/",
    "hooks",
    "http://a.example:abc/",
    "http://a.example:99999/",
    "http://a.example:0/",
    "http://[::1",
    "http://xn--/",
    "https://hooks.slack.example/T/B/\nx",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_cannot_be_posted_to_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    """By the same rule for `webhook_url`, and for the service's."""
    with pytest.raises(SettingsInvalid, match=r"receiver one url: found .*, expected http or https") as caught:
        ReceiverSettings(name="one", kind="slack", url=url).address({})
    assert url not in str(caught.value)
    for name in ("webhook_url", "service_url"):
        with pytest.raises(SettingsInvalid, match=f"{name}: found .*, expected http or https") as caught:
            load(tmp_path, **{name: url})
        assert url not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://a.example", "https://a.example:8443/x?y=z@b", "http://[::1]:80/", "http://bücher.example/"]
)
def test_a_url_that_can_be_posted_to_is_taken(tmp_path: Path, url: str) -> None:
    assert ReceiverSettings(name="one", kind="slack", url=url).address({}) == url
    assert load(tmp_path, webhook_url=url).webhook_url == url


UNUSABLE = ["hunter2\nsecond line", "hunter2\N{EM DASH}", "hunter2\x7f", " "]


@pytest.mark.parametrize("secret", UNUSABLE)
def test_a_secret_that_no_header_can_hold_stops_the_start_and_is_not_shown(tmp_path: Path, secret: str) -> None:
    file, environment = tmp_path / "secret", {"SECRET": secret}
    file.write_text(secret, "utf-8")
    table = {"name": "one", "kind": "webhook", "url": "https://a.example"}
    by_file = ReceiverSettings(**table, secret_file=file, token_file=file, headers_file={"api-key": file})
    by_name = ReceiverSettings(**table, secret_env="SECRET", token_env="SECRET", headers_env={"api-key": "SECRET"})
    settings = [load(tmp_path, **{f"{one}_file": file}) for one in ("webhook_secret", "admin_token") if secret.strip()]
    read = [call for one in (by_file, by_name) for call in (one.secret, one.authorization, one.all_headers)]
    calls = [*(lambda call=call: call(environment) for call in read)]
    calls += [call for one in settings for call in ((one.secret,) if one.webhook_secret_file else (one.token,))]
    for call in calls:
        with pytest.raises(SettingsInvalid, match="expected one line of printable ASCII") as caught:
            call()
        assert "hunter2" not in str(caught.value)


def test_a_secret_that_is_no_text_stops_the_start_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"hunter2\xff")
    with pytest.raises(SettingsInvalid, match="bytes that are no text") as caught:
        ReceiverSettings(name="one", kind="slack", url="https://a", token_file=tmp_path / "secret").authorization({})
    assert "hunter2" not in str(caught.value)


def test_headers_that_hold_secrets_come_from_files_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2\n")
    one = ReceiverSettings(
        name="one",
        kind="slack",
        url="https://a.example",
        headers={"X-Team": "ml"},
        headers_file={"Api-Key": tmp_path / "key"},
        headers_env={"private-token": "TOKEN"},
    )
    assert one.all_headers({"TOKEN": "glpat"}) == {"x-team": "ml", "api-key": "hunter2", "private-token": "glpat"}
    assert "hunter2" not in repr(one) + repr(one.receiver())
    with pytest.raises(SettingsInvalid, match=r"headers_env\.private-token: found no variable TOKEN"):
        one.all_headers({})
    (tmp_path / "key").unlink()
    with pytest.raises(SettingsInvalid, match=r"headers_file\.Api-Key"):
        one.all_headers({"TOKEN": "glpat"})


def test_secrets_come_from_files_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    one = ReceiverSettings(
        name="one",
        kind="webhook",
        url_env="URL",
        secret_file=tmp_path / "secret",
        token_env="TOKEN",
        token_scheme="Basic",
    )
    environment = {"URL": "https://a.example/hook", "TOKEN": "dXNlcjpwYXNz"}
    assert one.address(environment) == "https://a.example/hook"
    assert one.secret(environment) == SECRET
    assert one.authorization(environment) == "Basic dXNlcjpwYXNz"
    assert SECRET not in repr(one.receiver())


def test_a_secret_that_is_named_and_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="no variable GONE"):
        ReceiverSettings(name="one", kind="slack", url_env="GONE").address({})
    with pytest.raises(SettingsInvalid, match="secret_file"):
        ReceiverSettings(name="one", kind="webhook", url="https://a", secret_file=tmp_path / "gone").secret({})
    with pytest.raises(SettingsInvalid, match="no secret"):
        ReceiverSettings(name="one", kind="webhook", url="https://a").secret({})
    with pytest.raises(SettingsInvalid, match="ca_file"):
        ReceiverSettings(name="one", kind="slack", url="https://a", ca_file=tmp_path / "gone").trusted()


def test_two_receivers_of_one_name_do_not_start(tmp_path: Path) -> None:
    table = '[[monitor.receivers]]\nname = "a"\nkind = "slack"\nurl = "https://a.example"\n'
    (tmp_path / "plumbline.toml").write_text(table * 2)
    with pytest.raises(SettingsInvalid, match="every name once"):
        load(tmp_path)


def test_the_page_s_example_is_taken_as_it_stands(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    (tmp_path / "plumbline.toml").write_text(block)
    names = [one.name for one in load(tmp_path).receivers]
    assert names == ["pager", "chat", "airflow", "actions", "inbox"]
