import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tuner.deploy.yaml_text import yaml_text

TRICKY = st.sampled_from(
    ["yes", "No", "on", "NULL", "~", "1_000", "12:30:45", "0o17", "017", "1e5", ".5", "0x1f", "=", "<<", "2026-01-01"]
)
SCALARS = st.one_of(TRICKY, st.text(max_size=30), st.integers(), st.booleans(), st.none())
DOCUMENTS = st.dictionaries(
    st.one_of(TRICKY, st.text(min_size=1, max_size=10)),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)),
    min_size=1,
    max_size=4,
)


def read(text: str, version: tuple[int, int]) -> list[Any]:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.version = version
    return list(yaml.load_all(io.StringIO(text)))


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@given(document=DOCUMENTS)
def test_any_document_reads_back_the_same_in_both_versions(version: tuple[int, int], document: dict[str, Any]):
    assert read(yaml_text(["# a comment"], document), version) == [document]


def test_words_stay_plain_and_long_lines_stay_whole():
    text = yaml_text(["# two"], {"kind": "Deployment", "args": ["--x=" + "word " * 100]}, {"kind": "Service"})
    assert text.splitlines()[:2] == ["# two", "kind: Deployment"]
    assert max(map(len, text.splitlines())) > 500
    assert [document["kind"] for document in read(text, (1, 2))] == ["Deployment", "Service"]
