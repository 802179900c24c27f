"""`tuner dashboard`: optuna-dashboard on a result file, on the loopback, and gone after Ctrl-C."""

import hashlib
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.fakes.workbench import ROOT, alive, until


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_it_shows_the_study_leaves_the_file_alone_and_goes(tmp_path: Path):
    database = tmp_path / "results.db"
    shutil.copy(ROOT / "results.db", database)
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    port = free_port()
    command = [sys.executable, "-m", "tuner", "dashboard", "--db", str(database), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        assert until(lambda: answers(f"{url}/api/studies"), seconds=60)
        (study,) = httpx.get(f"{url}/api/studies", trust_env=False).json()["study_summaries"]
        assert study["study_name"] == "quickstart"
        shown = httpx.get(f"{url}/api/studies/{study['study_id']}", trust_env=False).json()
        assert shown["objective_names"] == ["capacity (req/s)", "TTFT p95 (s)"]
        assert len(shown["trials"]) == 8
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert f"127.0.0.1:{port}" in said
    assert "Traceback" not in said
    assert alive({process.pid}) == set()
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
