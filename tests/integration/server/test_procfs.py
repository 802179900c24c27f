"""Signals to real processes."""

import signal
import subprocess
import sys
from dataclasses import replace

from tuner.server import procfs


def test_a_process_number_with_a_new_owner_is_left_alone():
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdout=-1, stdin=-1) as stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        found = procfs.find(stranger.pid)
        assert found is not None

        replace(found, start_time=found.start_time - 1).send(signal.SIGKILL)

        assert procfs.find(stranger.pid) == found
        found.send(signal.SIGKILL)
        assert stranger.wait() == -signal.SIGKILL
