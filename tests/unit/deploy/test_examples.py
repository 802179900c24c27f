"""The examples of docs/deploy.md are what the program writes."""

import re

import pytest

from tests.fakes.deployables import make_deployable
from tests.fakes.workbench import ROOT
from tuner.deploy.emit import emit
from tuner.deploy.form import Form

PAGE = ROOT / "docs" / "deploy.md"
EXAMPLE = make_deployable(
    flags={"gpu-memory-utilization": 0.92, "max-model-len": 4096, "max-num-seqs": 192, "enable-prefix-caching": False},
    replicas=2,
    headroom=3.0,
)


@pytest.mark.parametrize("form", Form)
def test_the_page_shows_the_form_as_it_is_written(form: Form):
    _, _, section = PAGE.read_text().partition(f"## {form}\n")
    block = re.search(r"```\w*\n(.*?)```", section, re.DOTALL)
    assert block is not None, form
    assert block[1] == emit(form, EXAMPLE)
