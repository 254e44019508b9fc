"""The look at every node of a cluster, while nodes come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator import preflight
from orchestrator.cluster import Resources, connect
from orchestrator.raylib import ray
from orchestrator.store import Store
from orchestrator.sweep import RequestError

GHOST = {"NodeID": "0f" * 28, "NodeManagerAddress": "192.0.2.9", "Alive": True}


@pytest.fixture(scope="module", autouse=True)
def one_node() -> Iterator[None]:
    with connect(Resources(workers=1)):
        yield


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "out")
    store.prepare()
    return store


def test_a_node_that_leaves_meanwhile_is_no_fault(store, monkeypatch):
    there = ray.nodes()
    told = iter([[GHOST, *there]])
    monkeypatch.setattr(ray, "nodes", lambda: next(told, there))
    assert preflight.check(store, {}) == []
    assert next(told, None) is None


def test_a_node_that_is_never_known_is_named(store, monkeypatch):
    there = ray.nodes()
    monkeypatch.setattr(ray, "nodes", lambda: [GHOST, *there])
    monkeypatch.setattr(preflight, "LOOK_SECONDS", 5.0)
    with pytest.raises(
        RequestError, match=r"(?s)1 of the cluster's 2 nodes .*192\.0\.2\.9: it did not answer within 5 s"
    ):
        preflight.check(store, {})
    assert not list(store.running.iterdir())
