"""What a worker keeps in memory under a cap, over real models and a real home."""

from pathlib import Path

import pytest

from service.catalogue import Catalogue
from service.wanted import WantedFile
from tests.onnx_models import install, wide, wide_contract
from tests.unit.service.serving import Service, route, run, until

pytestmark = pytest.mark.slow

MIB = 1 << 20
ROW = {"instances": [[0.5] * 20]}
NETWORK_MIB = 4  # `wide` of 1 024 neurons: its matrix
# A version costs 8 MiB as a fresh process measures it (the file, and as much packed for the kernels), never less than its file:
# the cap has room for three, and for all VERSIONS in no process, also not in one that reuses what it freed.
CAP_MIB = 30
VERSIONS = CAP_MIB // NETWORK_MIB + 1


def furnish_wide(home: Path, versions: int) -> None:
    """`net`: version 1 is routed, the others are only pinned; each of other bytes."""
    for number in range(1, versions + 1):
        install(home, "net", str(number), wide(1024, layers=number), wide_contract())
    route(home, "net", stable="1")


def catalogue(service: Service) -> Catalogue:
    return service.worker.predictor._catalogue


async def ask(service: Service, version: str) -> tuple[int, str]:
    reply = await service.ask("POST", f"/v1/models/net/versions/{version}:predict", ROW)
    return reply.status, reply.json.get("code", "")


async def answered(service: Service, version: str) -> None:
    """Asks until it answers; until then it is told to ask again."""
    for _ in range(1000):
        status, code = await ask(service, version)
        if status == 200:
            return
        assert (status, code) == (503, "version_loading")
        turn = catalogue(service).current
        await until(lambda turn=turn: catalogue(service).current is not turn, "a look")
    raise AssertionError(f"{version} was not loaded")


def states(service: Service) -> dict[str, str]:
    return {ref: state.partition(",")[0] for ref, state in catalogue(service).current.states.items()}


def test_what_no_route_needs_goes_least_recently_used_first_and_comes_back_when_it_is_asked_for(tmp_path: Path) -> None:
    furnish_wide(tmp_path, VERSIONS)

    async def test(service: Service) -> None:
        first = states(service)
        assert first["net:1"] == "loaded" and "evicted" in first.values()
        assert all(catalogue(service)._pool.holds(pin.digest) for pin in catalogue(service)._pins)
        for version in ("2", "3", "4", "2"):
            await answered(service, version)
            assert states(service)[f"net:{version}"] == "loaded"
        assert (await ask(service, "1"))[0] == 200
        residence, pool = catalogue(service)._residence, catalogue(service)._pool
        await until(lambda: residence.memory_bytes(pool.digests()) <= CAP_MIB * MIB, "no more than the cap in memory")
        assert states(service)["net:1"] == "loaded" and "evicted" in states(service).values()

    run(tmp_path, test, versions_memory_max_mb=CAP_MIB, routes_poll_s=0.01)


def test_one_that_has_no_room_beside_what_is_routed_says_so_and_a_change_waits_for_what_it_wants(
    tmp_path: Path,
) -> None:
    furnish_wide(tmp_path, 2)

    async def test(service: Service) -> None:
        assert await ask(service, "2") == (503, "version_evicted")
        assert states(service) == {"net:1": "loaded", "net:2": "evicted"}
        pins = {pin.ref: pin for pin in catalogue(service)._lock_file.read().pins}
        WantedFile(tmp_path / "wanted.json").say([pins["net:2"].digest])
        await until(lambda: states(service)["net:2"] == "loaded", "what a change waits for")
        assert (await ask(service, "2"))[0] == 200

    run(tmp_path, test, versions_memory_max_mb=1, routes_poll_s=0.01)


def test_without_a_cap_everything_that_is_pinned_is_loaded(tmp_path: Path) -> None:
    furnish_wide(tmp_path, 3)

    async def test(service: Service) -> None:
        assert states(service) == {"net:1": "loaded", "net:2": "loaded", "net:3": "loaded"}

    run(tmp_path, test)
