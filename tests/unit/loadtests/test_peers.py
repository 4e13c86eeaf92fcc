"""The speed comparison is fair: the same runtime under every system, the same row to each."""

import json

import pytest

from loadtests.bench.model import FEATURES
from loadtests.bench.peers import OURS, PEERS, ROW, Peer
from tests.processes import ROOT

SHARED = ("bentoml", "onnxruntime", "numpy", "uvicorn", "uvloop", "httptools")


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_sent_the_same_single_row(peer: Peer) -> None:
    (rows,) = json.loads(peer.body).values()
    assert rows == [list(ROW)]
    assert len(ROW) == FEATURES


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.requirements], ids=lambda peer: peer.name)
def test_a_peer_of_its_own_environment_runs_on_the_versions_of_our_lock(peer: Peer) -> None:
    locked = set((ROOT / "requirements.lock").read_text().split())
    for pin in peer.requirements:
        name = pin.split("==")[0]
        assert "==" in pin
        assert name not in SHARED or pin in locked, f"{pin}: not what requirements.lock has"


def test_ours_comes_first_and_names_are_distinct() -> None:
    assert PEERS[0] is OURS
    assert len({peer.name for peer in PEERS}) == len(PEERS)
