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


@pytest.mark.parametrize("url", ["ftp://a.example", "https://", "https://user:pass@a.example/", "hooks"])
def test_a_url_that_cannot_be_posted_to_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        ReceiverSettings(name="one", kind="slack", url=url).address({})
    assert url not in str(caught.value)


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
