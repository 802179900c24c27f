"""vLLM's own file of options, read by a real vLLM: by both its parsers, and by a server that starts with it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.fakes.deployables import HOSTILE, make_deployable
from tests.fakes.workbench import ROOT
from tuner.deploy.deployable import Deployable
from tuner.deploy.emit import emit
from tuner.deploy.form import Form
from tuner.domain.flags import FlagValue, to_arguments
from tuner.server.command import engine_environment

PATIENCE_S = 240
MODULE = "vllm.entrypoints.openai.api_server"
FLAGS: dict[str, FlagValue] = {
    "load-format": "dummy",
    "enforce-eager": True,
    "enable-prefix-caching": False,
    "gpu-memory-utilization": 0.3,
    "max-model-len": 160,
    "max-num-seqs": 8,
}
TRICKY: dict[str, FlagValue] = FLAGS | {
    "max-model-len": -1,
    "max-num-batched-tokens": "1k",
    "chat-template": HOSTILE,
    "generation-config": "-x.y",
    "revision": "12e45",
    "scheduling-policy": "priority",
    "speculative-config": '{"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}',
    "compilation-config.cudagraph_mode": "FULL",
    "compilation-config.pass_config.fuse_norm_quant": True,
    "compilation-config.pass_config.fuse_act_quant": False,
}
PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
bare = make_arg_parser(FlexibleArgumentParser())
outer = FlexibleArgumentParser()
make_arg_parser(outer.add_subparsers(dest="subparser").add_parser("serve"))
found = []
for arguments in json.loads(sys.argv[1]):
    parser = outer if arguments[0] == "serve" else bare
    values = vars(parser.parse_args(arguments))
    values["model"] = values.pop("model_tag", None) or values["model"]
    for name in ("config", "subparser"):
        values.pop(name, None)
    found.append({name: str(value) for name, value in values.items()})
print(json.dumps(found))
"""

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, ROOT / "scripts" / "make-tiny-model", directory], check=True)
    return directory


def written(deployable: Deployable, directory: Path) -> Path:
    path = directory / f"{deployable.name}.yaml"
    path.write_text(emit(Form.YAML, deployable))
    return path


def test_both_parsers_of_vllm_read_the_file_as_they_read_the_measured_command_line(vllm_python: Path, tmp_path: Path):
    deployable = make_deployable(flags=TRICKY, model=f"/srv/{HOSTILE}", is_directory=True)
    file = written(deployable, tmp_path)
    flags = deployable.serve_arguments("127.0.0.1")[1:]
    lines = [
        ["serve", "--config", str(file)],
        ["--config", str(file)],
        ["serve", deployable.model, *flags],
        [*to_arguments({"model": deployable.model}), *flags],
    ]

    done = subprocess.run(
        [vllm_python, "-c", PARSE, json.dumps(lines)], capture_output=True, text=True, check=False,
        env=engine_environment(os.environ, {}),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    served, bare, *from_lines = json.loads(done.stdout.splitlines()[-1])
    assert served == bare == from_lines[0] == from_lines[1]
    assert served["enable_prefix_caching"] == "False"
    assert served["chat_template"] == HOSTILE


@asynccontextmanager
async def started(python: Path, config: Path, log: Path) -> AsyncGenerator[str]:
    """Yield the address of a server that has started with a file; the port of the command line wins over the file's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = engine_environment(os.environ, {"HF_HUB_OFFLINE": "1"})
    command = [str(python), "-m", MODULE, "--config", str(config), f"--port={port}"]
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=out, stderr=out)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await answers(f"http://127.0.0.1:{port}/health"):
                assert process.returncode is None, tail_of(log)
                await asyncio.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def tail_of(log: Path) -> str:
    return log.read_text()[-3000:]


async def answers(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(url)).is_success
        except httpx.TransportError:
            return False


async def test_a_real_server_starts_with_the_file_and_has_the_measured_settings(
    vllm_python: Path, tiny_model: Path, tmp_path: Path
):
    deployable = make_deployable(flags=FLAGS, model=str(tiny_model), is_directory=True)
    config = written(deployable, tmp_path)
    async with started(vllm_python, config, tmp_path / "log") as url, httpx.AsyncClient() as client:
        (model,) = (await client.get(f"{url}/v1/models")).json()["data"]
        metrics = (await client.get(f"{url}/metrics")).text
        request = {"model": deployable.served_name, "prompt": [5, 6, 7], "max_tokens": 4, "ignore_eos": True}
        answer = (await client.post(f"{url}/v1/completions", json=request, timeout=60)).json()

    assert (model["id"], model["max_model_len"]) == (deployable.served_name, 160)
    assert 'enable_prefix_caching="False"' in metrics
    assert 'gpu_memory_utilization="0.3"' in metrics
    assert answer["usage"]["completion_tokens"] == 4
