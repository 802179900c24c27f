"""Writes trials into a database as fast as it can, until it is killed: `store_writer.py DATABASE LEDGER`.

Every commit that returned is noted, fsynced, in a ledger of its own; the ledger may lag behind, never run ahead.
With `half` as a third argument it stops in the middle of a transaction whose pages are on disk already, and waits.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tuner.domain.arrivals import PoissonArrivals
from tuner.domain.load import ClientHealth, Outcome, RequestRecord
from tuner.domain.measurement import Capacity, Distribution, LoadPoint, LoadSummary, Scrape, ServerFigures
from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.writer import Store, open_store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "study": "night",
    "model": "m",
    "target_rps": 1,
    "search_space": {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 8}}},
    "slos": {"ttft_p95": 500},
}
RECORDS = tuple(
    RequestRecord(float(n), float(n), tuple(n + 0.01 * k for k in range(50)), n + 0.5, Outcome.OK, 16, 50, 50)
    for n in range(20)
)


def load_point() -> LoadPoint:
    some = Distribution(count=20, mean=0.1)
    summary = LoadSummary(
        completed=20, failed=0, failure_rate=0, offered_rps=1, achieved_rps=1, output_tokens_per_s=50,
        input_tokens_per_s=16, goodput_rps=1, users_mean=1, users_max=2, ttft=some, tpot=some, itl=some, e2e=some,
        ttft_from_send=some, tokens_per_event=1, queue_growing=False, slo_met=True,
    )  # fmt: skip
    client = ClientHealth(cpu_s=0.1, cpu_share=0.01, lateness_p99=0, loop_lag_max=0)
    return LoadPoint(
        index=0, arrivals=PoissonArrivals(rate=1), requests=20, seed=1, started_at=NOW, duration=20, summary=summary,
        server=ServerFigures(), client=client,
    )  # fmt: skip


def write_trial(store: Store, number: int) -> None:
    store.begin_trial(
        number,
        1,
        number,
        role=TrialRole.SAMPLED,
        flags={"max-num-seqs": 1},
        resolved={},
        fingerprint="",
        started_at=NOW,
    )
    launch = store.begin_launch(number, 1, argv=(), log_path="", started_at=NOW, provenance=Provenance())
    store.save_load_point(number, launch, load_point(), RECORDS, (Scrape(at=0.0),))
    store.end_launch(launch, NOW, 0, None, {})
    capacity = Capacity(rps=1.0, upper_rps=None)
    store.finish_trial(number, TrialState.MEASURED, ended_at=NOW, capacity=capacity, values={"capacity_rps": 1.0})


def stop_half_way(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA cache_size=1")  # pages leave for the disk before the commit
        connection.exec_driver_sql("UPDATE tuner_trials SET capacity_rps = 999")
        connection.exec_driver_sql("UPDATE tuner_request_records SET data = zeroblob(100000)")
        print("half", flush=True)
        time.sleep(60)


def main() -> None:
    location = DatabaseLocation.parse(sys.argv[1])
    with writer_lock(location, "night"), open_store(location) as store, open(sys.argv[2], "a") as ledger:  # noqa: PTH123
        study = store.study("night")
        if study is None:
            store.create_study(1, StudySpec.model_validate(SPEC), Provenance(), NOW)
        store.interrupt_running(1, NOW)
        start = int(os.environ.get("FIRST_TRIAL", "0"))
        for number in count(start):
            write_trial(store, number)
            ledger.write(json.dumps(number) + "\n")
            ledger.flush()
            os.fsync(ledger.fileno())
            print(number, flush=True)
            if sys.argv[3:] == ["half"]:
                stop_half_way(store)


if __name__ == "__main__":
    main()
