"""The tutorial and the README happen as they stand: their blocks are typed in their order, and print what the page says."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.documents import Step, steps
from tests.processes import ROOT
from tests.reader import Reader

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # dozens of commands, 20 000 requests

INSTALLED = "pip install"  # the tests have those packages
UP = "plumbline up"
# What of the README's lines is not typed here, and why.
LEFT_OUT = {
    "make up": "the test started it, without the installation",
    "make test": "this is it",
    INSTALLED: "the tests have them",
    "models pin": "needs registries: test_oci.py, test_mlflow.py",
    "log tail -f": "goes on until Ctrl-C: test_log_commands.py",
}

# "The next version goes through the same command"
NEXT_VERSION = Step(
    ".venv/bin/plumbline models add out/rides.onnx --name rides --data out/train.csv --label cnt --time at", ()
)


def test_a_reader_of_the_tutorial_sees_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text()
    reader, todo = Reader(tmp_path), [step for step in steps(page) if INSTALLED not in step.commands]
    begins = next(place for place, step in enumerate(todo) if UP in step.commands)
    for step in todo[:begins]:
        reader.follow(step)
    with reader.up(todo[begins].commands):
        for step in todo[begins + 1 :]:
            reader.follow(step)


def test_all_orders_are_of_one_day_that_no_clock_has_reached(tmp_path: Path) -> None:
    """The questions that the page asks at the time of the clock are of the training's day, or of the next at midnight."""
    at = pd.date_range("2026-11-03", "2026-12-01", freq="2min", tz="UTC", inclusive="left")
    pd.DataFrame({"at": at}).to_csv(tmp_path / "train.csv", index=False)
    day_of = runpy.run_path(str(ROOT / "docs" / "examples" / "deliveries.py"))["day_of"]
    assert day_of(str(tmp_path)) == "2026-12-02", "trained on the first of December"


def test_every_command_of_the_readme_works_in_its_order(tmp_path: Path) -> None:
    hours(tmp_path / "hour.csv")
    reader = Reader(tmp_path)
    with reader.up(".venv/bin/plumbline up"):
        for step in steps((ROOT / "README.md").read_text()):
            if "routes set rides" in step.commands:
                reader.follow(NEXT_VERSION)
            lines = [line for line in step.commands.splitlines() if not any(words in line for words in LEFT_OUT)]
            if lines:
                reader.follow(Step("\n".join(lines), step.printed))


def hours(path: Path) -> None:
    """Two years of rides of nobody, laid out as the UCI's are."""
    rng, n = np.random.default_rng(0), 2 * 365 * 24
    at = pd.date_range("2011-01-01", periods=n, freq="h")
    hot = rng.uniform(0, 1, n)
    columns = {
        "instant": np.arange(1, n + 1),
        "season": at.month % 12 // 3 + 1,
        "yr": at.year - 2011,
        "hr": at.hour,
        "holiday": rng.integers(0, 2, n),
        "weekday": at.day_of_week,
        "workingday": (at.day_of_week < 5).astype(int),
        "weathersit": rng.integers(1, 5, n),
        "temp": hot,
        "atemp": hot,
        "hum": rng.uniform(0, 1, n),
        "windspeed": rng.uniform(0, 1, n),
        "cnt": (100 * hot + 5 * at.hour + rng.normal(0, 10, n)).astype(int),
    }
    pd.DataFrame(columns).to_csv(path, index=False)
