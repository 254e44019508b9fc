"""Through Ray Tune: every trial one record, whatever happens to its worker."""

from __future__ import annotations

import ipaddress

import psutil
import pytest

from orchestrator import plugins, schedule
from orchestrator.metrics import METRICS
from orchestrator.store import Store
from orchestrator.trial import run_trial

SCORES = (*METRICS, "mask_hash", "n_missing", "status", "split")


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "results")
    store.prepare()
    return store


def run(sweep, store, awkward=None, **options):
    seen = []
    plugins = [str(awkward)] if awkward else []
    schedule.run(sweep, sweep.trials(), store, plugins=plugins, listener=seen.append, **options)
    return seen


def rows_of(sweep, store) -> list[dict]:
    return [store.read(spec.key)[0] for spec in sweep.trials()]


def scores_of(rows) -> list[dict]:
    return [{name: row[name] for name in SCORES} for row in rows]


def test_the_same_numbers_in_process_and_on_one_worker_or_two(make_sweep, awkward, tmp_path):
    sweep = make_sweep(
        methods=["random_noise", "mice", "newimp"],
        mechanisms=["mcar", "mnar"],
        params={"newimp": {"flow_steps": 20, "dsm_steps": 20}},
    )
    alone = [run_trial(spec).rows[0] for spec in reversed(sweep.trials())][::-1]
    assert all(row["status"] == "ok" for row in alone)
    for workers in (1, 2):
        store = Store(tmp_path / str(workers))
        store.prepare()
        run(sweep, store, awkward, resources=schedule.Resources(workers=workers))
        assert scores_of(rows_of(sweep, store)) == scores_of(alone)


def test_a_plug_in_travels_to_a_machine_that_has_another_one_or_none(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("edition = 1")
    assert plugins.here(path, "edition = 1") == path
    for lacking in (path, tmp_path / "absent" / "mine.py"):
        copy = plugins.here(lacking, "edition = 2")
        assert copy != path
        assert (copy.name, copy.read_text()) == ("mine.py", "edition = 2")


@pytest.mark.usefixtures("ray_cluster")
class TestOnOneCluster:
    def test_every_trial_gets_a_record_and_is_told_to_the_listener(self, make_sweep, store):
        sweep = make_sweep(methods=["mean", "median"], seeds=5)
        seen = run(sweep, store)
        keys = {spec.key for spec in sweep.trials()}
        assert store.keys() == keys
        assert sorted(summary["trial_key"] for summary in seen) == sorted(keys)
        assert not list(store.running.iterdir())

    def test_what_is_done_is_not_run_again(self, make_sweep, store):
        run(make_sweep(seeds=2), store)
        before = rows_of(make_sweep(seeds=2), store)
        seen = run(make_sweep(seeds=4), store)
        assert sorted(summary["mask_seed"] for summary in seen) == [2, 3]
        assert rows_of(make_sweep(seeds=2), store) == before
        assert run(make_sweep(seeds=4), store) == []

    def test_failures_are_rows_among_the_others(self, make_sweep, store, awkward):
        sweep = make_sweep(methods=["mean", "raises", "changes_observed", "out_of_memory"])
        run(sweep, store, awkward)
        by_method = {row["method"]: row for row in rows_of(sweep, store)}
        assert {name: row["status"] for name, row in by_method.items()} == {
            "mean": "ok",
            "raises": "failed",
            "changes_observed": "failed",
            "out_of_memory": "out_of_memory",
        }
        assert "no luck" in by_method["raises"]["error"]

    def test_a_killed_worker_is_replaced_and_its_trial_run_again(self, make_sweep, store, awkward, tmp_path):
        params = {"dies_once": {"mark": str(tmp_path / "mark")}}
        sweep = make_sweep(methods=["dies_once", "mean"], seeds=3, params=params)
        run(sweep, store, awkward)
        rows = [row for row in rows_of(sweep, store) if row["method"] == "dies_once"]
        assert [row["status"] for row in rows] == ["ok"] * 3
        assert sorted(row["attempts"] for row in rows) == [1, 1, 2]
        assert not list(store.running.iterdir())

    def test_a_trial_that_always_kills_its_worker_is_given_up_as_a_row(self, make_sweep, store, awkward):
        sweep = make_sweep(methods=["always_dies", "mean"], seeds=1)
        run(sweep, store, awkward)
        dead, fine = rows_of(sweep, store)
        assert (dead["status"], dead["attempts"]) == ("failed", schedule.MAX_ATTEMPTS)
        assert "died" in dead["error"]
        assert fine["status"] == "ok"

    def test_attempts_that_an_earlier_run_left_behind_do_not_count(self, make_sweep, store):
        sweep = make_sweep(seeds=1)
        key = sweep.trials()[0].key
        for _ in range(schedule.MAX_ATTEMPTS):
            store.begin(key)
        run(sweep, store)
        (row,) = rows_of(sweep, store)
        assert (row["status"], row["attempts"]) == ("ok", 1)

    def test_a_trial_past_its_deadline_is_stopped_even_while_it_holds_the_lock(
        self, make_sweep, store, awkward
    ):
        sweep = make_sweep(methods=["hangs", "mean"], seeds=1, deadline=1)
        run(sweep, store, awkward)
        late, fine = rows_of(sweep, store)
        assert (late["status"], late["attempts"]) == ("timeout", 1)
        assert "_fit" in late["error"]
        assert fine["status"] == "ok"

    def test_a_broken_display_does_not_end_the_sweep(self, make_sweep, store):
        sweep = make_sweep()

        def broken(summary):
            raise RuntimeError("no screen")

        schedule.run(sweep, sweep.trials(), store, listener=broken)
        assert len(store.keys()) == 2

    def test_ray_listens_on_loopback_alone(self):
        names = ("ray", "gcs_server", "raylet")
        addresses = []
        for process in psutil.Process().children(recursive=True):
            if process.name().startswith(names):
                connections = process.net_connections("inet")
                addresses += [c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN]
        assert addresses
        for text in addresses:
            address = ipaddress.ip_address(text)
            mapped = getattr(address, "ipv4_mapped", None)
            assert (mapped or address).is_loopback, text
