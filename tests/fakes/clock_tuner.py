"""The `tuner` command, run in this process, on a wall clock that jumps: `clock_tuner.py SECONDS ARGUMENTS…`.

The clock jumps when the first launch is ready. Only the wall clock does: what the tuner reads of it, it reads through
`datetime` of its own modules, which is replaced here by one that is ahead or behind.
"""

import sys
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self

import tuner.cli.progress
import tuner.cli.run
import tuner.study.loop
import tuner.study.point
import tuner.study.session
import tuner.study.trial
from tuner.cli.main import main
from tuner.store.writer import Store


class JumpingDatetime(datetime):
    """A datetime whose now is `ahead` of the machine's."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the machine's time and the jump."""
        return super().now(tz) + cls.ahead


JUMP = timedelta(seconds=float(sys.argv[1]))
MODULES: tuple[Any, ...] = (
    tuner.cli.progress, tuner.cli.run, tuner.study.loop, tuner.study.point, tuner.study.session, tuner.study.trial,
)  # fmt: skip
launch_ready = Store.launch_ready


def ready_and_jump(self: Store, launch_id: int, ready_after: float) -> None:
    """Do what `launch_ready` does, on another day."""
    launch_ready(self, launch_id, ready_after)
    JumpingDatetime.ahead = JUMP


for module in MODULES:
    if hasattr(module, "datetime"):
        module.datetime = JumpingDatetime
Store.launch_ready = ready_and_jump
sys.argv = ["tuner", *sys.argv[2:]]
main()
