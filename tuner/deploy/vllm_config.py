"""vLLM's own file of options, as `--config` reads it.

vLLM turns each key into an argument before its parser sees one (`FlexibleArgumentParser.load_config_file`, 0.32), and
three of its habits would silently start another server than the one that was measured:

- `name: false` is dropped under `vllm serve`: it looks for `--no-name` among the options of the outer parser, which
  has none. `no-name: true` becomes `--no-name` wherever it is read.
- `name.key: true` becomes an option without its value: the text `"true"` keeps it.
- A value that begins with a hyphen becomes an argument of its own, and so another option: `"name=-x": true` is one.
"""

from collections.abc import Iterator

from tuner.deploy.deployable import LOOPBACK, Deployable
from tuner.deploy.header import header
from tuner.deploy.yaml_text import yaml_text
from tuner.domain.flags import Flags, FlagValue, format_value


def vllm_config(deployable: Deployable) -> str:
    """Return the file. Its name must end in `.yaml`, or vLLM refuses it."""
    title = f"A vLLM server, listening on this machine only: save as {deployable.name}.yaml, then {_start(deployable)}"
    notes = [f"set in the environment of the server: {name}={value}" for name, value in _environment(deployable)]
    options = {"model": deployable.model, **config_options(deployable.owned_flags(LOOPBACK) | dict(deployable.flags))}
    return yaml_text(header(deployable, title, notes), options)


def config_options(flags: Flags) -> dict[str, FlagValue]:
    """Return the flags as the keys and values of a `--config` file."""
    return dict(_option(name, flags[name]) for name in sorted(flags))


def _option(name: str, value: FlagValue) -> tuple[str, FlagValue]:
    if isinstance(value, bool):
        if "." in name:
            return name, str(value).lower()
        return (name, True) if value else (f"no-{name}", True)
    text = format_value(value)
    if text.startswith("-"):
        return f"{name}={text}", True
    return name, text if isinstance(value, float) and "e" in text else value  # YAML 1.1 has `1.0e-05`, and no `1e-05`


def _start(deployable: Deployable) -> str:
    file = f"--config {deployable.name}.yaml"
    module = deployable.python[1:]
    if not module or module[-1] == "serve":
        return f"vllm serve {file}"
    return f"python {' '.join(module)} {file}"


def _environment(deployable: Deployable) -> Iterator[tuple[str, str]]:
    yield from (deployable.environment | deployable.device_environment).items()
