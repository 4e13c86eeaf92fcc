"""How does a server behave when requests come at a rate that does not wait for its answers?

    python -m loadtests.open_loop http://127.0.0.1:3000/v1/models/payments:predict --body row.json --rate 5000 --seconds 20

Give it a core that the server does not use (`taskset -c 1`); it has sent 25 000 requests a second to an empty uvicorn on the
other. How late requests were sent is in the report (`lateness_ms`): a driver that could not keep up is seen, and latency counts
from when a request was due, not from when it was sent.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from loadtests.drive import Target, drive
from loadtests.samples import Times, report

REQUESTS_MAX = 20_000_000  # 600 MB of times; far above any run that somebody waits for


def arrivals(rate: float, seconds: float, *, seed: int, poisson: bool = True) -> Times:
    """Seconds from the start at which requests are due: a Poisson process, or one every 1/rate."""
    assert 0 < rate * seconds <= REQUESTS_MAX, f"{rate:g}/s for {seconds:g} s: found no or too many requests"
    if not poisson:
        return np.arange(int(rate * seconds)) / rate
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))


@click.command()
@click.argument("url")
@click.option(
    "--body",
    "bodies",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Body of the request; several are sent in turn.",
)
@click.option("--method", default="POST", show_default=True)
@click.option("--header", "headers", multiple=True, help="'name: value'")
@click.option("--rate", required=True, type=click.FloatRange(0, min_open=True), help="Requests a second.")
@click.option("--seconds", required=True, type=click.FloatRange(0, min_open=True))
@click.option("--constant", is_flag=True, help="One every 1/rate instead of a Poisson process.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--skip-s", default=0.0, show_default=True, help="Requests due in the first seconds are sent, but not counted."
)
@click.option("--deadline-ms", type=float, help="Goodput: answers 200 within it.")
@click.option("--connections", default=16, show_default=True, help="Opened before the first request.")
@click.option("--connections-max", default=2_000, show_default=True)
@click.option("--grace-s", default=10.0, show_default=True, help="How long the last answers are waited for.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def main(
    url: str,
    bodies: Sequence[Path],
    method: str,
    headers: Sequence[str],
    rate: float,
    seconds: float,
    constant: bool,
    seed: int,
    skip_s: float,
    deadline_ms: float | None,
    as_json: bool,
    **bounds: Any,
) -> None:
    """Sends requests to URL at a given rate, whatever becomes of them."""
    pairs = [(name.strip(), value.strip()) for name, _, value in (header.partition(":") for header in headers)]
    target = Target.of(url, [path.read_bytes() for path in bodies] or [b""], pairs, method)
    try:
        samples = drive(target, arrivals(rate, seconds, seed=seed, poisson=not constant), **bounds)
    except OSError as error:
        raise click.ClickException(f"{url}: {error}; nothing was sent") from error
    found = report(samples.between(skip_s, seconds), seconds=seconds - skip_s, deadline_ms=deadline_ms)
    click.echo(json.dumps(found, indent=None if as_json else 2))


if __name__ == "__main__":
    main()
