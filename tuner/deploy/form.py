"""The forms that a configuration can be written in."""

from enum import StrEnum


class Form(StrEnum):
    """What `tuner best --emit` writes."""

    COMMAND = "command"
    """A `vllm serve` command line."""
    YAML = "yaml"
    """vLLM's own file of options, for `vllm serve --config`."""
    DOCKER = "docker"
    """A `docker run` command line."""
    COMPOSE = "compose"
    """A Compose file."""
    KUBERNETES = "kubernetes"
    """A Deployment and its Service."""
    SYSTEMD = "systemd"
    """A systemd service unit."""
