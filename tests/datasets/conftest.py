"""Every test has a cache of its own, no mirror unless it asks for one, and no way to an outside network."""

import os
import socket
from pathlib import Path

import pytest

REAL_MIRROR = os.environ.get("LACUNA_MIRROR")
CASES = os.environ.get("LACUNA_CASES")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LACUNA_DATA", str(folder))
    monkeypatch.delenv("LACUNA_MIRROR", raising=False)
    return folder


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch):
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            raise OSError(f"tests do not connect to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def mirror() -> Path:
    if not REAL_MIRROR:
        pytest.skip("needs the raw files: set LACUNA_MIRROR to a folder laid out as the catalog's `file`")
    return Path(REAL_MIRROR)


@pytest.fixture
def mirrored(mirror, monkeypatch) -> Path:
    monkeypatch.setenv("LACUNA_MIRROR", str(mirror))
    return mirror


@pytest.fixture(scope="session")
def cases() -> Path:
    if not CASES:
        pytest.skip("needs the fixed cases: set LACUNA_CASES to the folder of their .npz files")
    return Path(CASES)
