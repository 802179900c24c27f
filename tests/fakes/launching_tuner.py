"""A tuner that starts one launch, says so, and then waits for its end. Run with the arguments PYTHON MODEL LOG."""

import asyncio
import os
import sys
from pathlib import Path

from tuner.server.launch import LaunchHandle, LaunchRequest


async def main(python: str, model: str, log: str) -> None:
    """Launch, print the leader's pid, wait."""
    mode = {"FAKE_VLLM_MODE": os.environ.get("FAKE_VLLM_MODE", "healthy")}
    request = LaunchRequest(
        python=Path(python),
        entrypoint="api_server",
        model=model,
        flags={},
        env=mode,
        gpus=None,
        port=None,
        start_timeout=60,
        log_path=Path(log),
    )
    server = await LaunchHandle(request).start()
    print(server.pid, flush=True)
    await asyncio.sleep(3600)


asyncio.run(main(*sys.argv[1:]))
