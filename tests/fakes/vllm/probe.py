"""Answers the protocol of tuner/server/engine_probe.py for the fake engine."""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import options

INFO = {
    "version": os.environ.get("VLLM_FAKE_VERSION", "0.32.0+fake"),
    "entrypoint": "api_server",
    "flags": sorted(options.FLAGS),
    "python_version": "3.11.0",
    "platform": "cpu",
    "resolves": True,
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request."""
    if request["op"] == "info":
        return INFO
    try:
        values = options.parse([f"--model={request['model']}", *request["arguments"]])
        options.check(values)
    except options.RefusedError as error:
        reason = error.text.splitlines()[-1].partition(" [type=")[0].strip()
        return {"values": {}, "error": reason.removeprefix("Value error, ").removeprefix("api_server.py: error: ")}
    return {"values": {name: values.get(name) for name in request["names"]}, "error": None}


def main() -> None:
    """Answer until stdin closes."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


main()
