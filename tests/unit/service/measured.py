"""A process for `test_telemetry.py`: BentoML's multiprocess mode must be set before prometheus_client is imported.

`python -m tests.unit.service.measured HOME` serves a furnished home, asks it thousands of things, and prints three scrapes.
"""

import asyncio
import random
import sys
from pathlib import Path

from tests.unit.service.serving import ROW, Service, furnish, route, serving

NAMES = 10_000
SEED = 1


async def main(home: Path) -> None:
    """Every outcome, several arms, and ten thousand names that nobody serves."""
    furnish(home)
    route(home, "mixed", stable="1", canary={"version": "2", "percent": 50.0})
    async with serving(home, max_rows=5) as service:
        before = await scrape(service)
        await asyncio.gather(*(service.predict(ROW) for _ in range(100)))
        await asyncio.gather(*(service.predict({**ROW, "ratio": "x"}) for _ in range(30)))
        await service.predict(*[ROW] * 6)
        await service.predict([[1, 2], [3, 4]], model="image")
        await service.ask("POST", "/v1/models/mixed:feedback", [{"request_id": "r", "label": 1}] * 3)
        settled = await scrape(service)
        random_ = random.Random(SEED)
        for number in range(NAMES):
            name = "".join(random_.choices("abcdefgh:/.%é", k=8))
            path = random_.choice(
                (f"/v1/models/{name}:predict", f"/v2/models/mixed/versions/{number}/infer", f"/v1/{name}")
            )
            await service.ask(random_.choice(("GET", "POST")), path, b"{}")
        after = await scrape(service)
    print("\x00".join((before, settled, after)))


async def scrape(service: Service) -> str:
    reply = await service.ask("GET", "/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain")
    return reply.body.decode()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
