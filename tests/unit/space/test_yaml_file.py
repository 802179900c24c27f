import os
from pathlib import Path

import pytest

from tuner.domain.errors import InputError
from tuner.space.yaml_file import LARGEST, parse_yaml, read_yaml


def test_yaml_1_2_leaves_times_and_words_as_text() -> None:
    data = parse_yaml(b"until: 07:00\nanswer: yes\noff: off\nrate: 1e3\nn: 12\nflag: true\n", source="x")
    assert data == {"until": "07:00", "answer": "yes", "off": "off", "rate": 1000.0, "n": 12, "flag": True}


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert parse_yaml(b"\xef\xbb\xbfa: 1\n", source="x") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "where", "reason"),
    [
        (b"a: 1\nb: 2\na: 3\n", "x.yaml:3", "the key stands twice: a"),
        (b"a: [1\nb: 2\n", "x.yaml:2", "not valid YAML"),
        (b"a: b: c\n", "x.yaml:1", "not valid YAML"),
        (b"a: 1\n\tb: 2\n", "x.yaml:2", "not valid YAML"),
        (b"a: &x [1]\nb: *x\n", "x.yaml:1", "anchors and aliases"),
        (b"a: 1\nb: *x\n", "x.yaml:2", "anchors and aliases"),
        (b"a: &x {}\n<<: *x\n", "x.yaml:1", "anchors and aliases"),
        (b"a: !!python/object/apply:os.system ['id']\n", "x.yaml:1", "tags"),
        (b"a: !x 1\n", "x.yaml:1", "tags"),
        (b"a: 1\n---\nb: 2\n", "x.yaml:2", "single document"),
        (b"- a\n", "x.yaml", "must be a mapping"),
        (b"text\n", "x.yaml", "must be a mapping"),
        (b"", "x.yaml", "is empty"),
        (b"# only a comment\n", "x.yaml", "is empty"),
        (b"1: a\n", "x.yaml", "the key 1 is not text"),
        (b"a: \xff\n", "x.yaml:1", "not UTF-8"),
        (b"a: \x00\n", "x.yaml", "not valid YAML"),
        (b"a: " + b"[" * 100_000, "x.yaml:1", "nested more than 30"),
        (b"a: 1\n" * (LARGEST // 5 + 1), "x.yaml", "larger than 250 kB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_plain_mapping_is_refused_with_its_line(content: bytes, where: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        parse_yaml(content, source="x.yaml")
    assert caught.value.where == where
    assert len(str(caught.value)) < 300


def test_an_alias_bomb_is_refused_before_anything_is_built() -> None:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]".encode() for n in range(1, 12)]
    with pytest.raises(InputError, match="anchors and aliases"):
        parse_yaml(b"\n".join(lines), source="bomb.yaml")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: ü\n", encoding="utf-8")
    assert read_yaml(path) == {"a": "ü"}


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse
    with pytest.raises(InputError, match="larger than 250 kB"):
        read_yaml(path)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in [
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "no regular file"),
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / ("x" * 5000), "can't be read"),
        (tmp_path / "a\x00b", "can't be read"),
    ]:
        with pytest.raises(InputError, match=reason):
            read_yaml(path)
