"""From a form's name to its text."""

from collections.abc import Callable, Mapping

from tuner.deploy.compose import compose
from tuner.deploy.deployable import Deployable
from tuner.deploy.form import Form
from tuner.deploy.kubernetes import kubernetes
from tuner.deploy.shell import command, docker
from tuner.deploy.systemd import systemd
from tuner.deploy.vllm_config import vllm_config

_WRITERS: Mapping[Form, Callable[[Deployable], str]] = {
    Form.COMMAND: command,
    Form.YAML: vllm_config,
    Form.DOCKER: docker,
    Form.COMPOSE: compose,
    Form.KUBERNETES: kubernetes,
    Form.SYSTEMD: systemd,
}


def emit(form: Form, deployable: Deployable) -> str:
    """Return the configuration in a form: whole text, a line feed at its end."""
    return _WRITERS[form](deployable)
