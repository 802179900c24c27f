import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.deployables import make_deployable

DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_any_studys_name_becomes_a_name_that_dns_takes(study: str):
    assert DNS_LABEL.fullmatch(make_deployable(study=study).name)


@pytest.mark.parametrize(
    ("flags", "on_gpu", "count"),
    [
        ({}, True, 1),
        ({"tensor-parallel-size": 4}, True, 4),
        ({"tensor-parallel-size": 2, "pipeline-parallel-size": 2, "data-parallel-size": 2}, True, 8),
        ({"tensor-parallel-size": 2}, False, 0),
    ],
)
def test_gpus_are_counted_by_the_flags_that_spread_a_model(flags: dict[str, int], on_gpu: bool, count: int):
    assert make_deployable(flags=flags, on_gpu=on_gpu).gpu_count == count


@pytest.mark.parametrize(("gpus", "chosen"), [(None, None), ((3,), None), ((3, 1), (3, 1)), ((3, 1, 0), (3, 1))])
def test_the_studys_gpus_are_chosen_where_they_are_enough(gpus: tuple[int, ...] | None, chosen: tuple[int, ...] | None):
    assert make_deployable(gpus=gpus).chosen_gpus == chosen


@pytest.mark.parametrize(("started_in", "limit"), [(74.0, 222), (10.0, 120), (None, 1800)])
def test_a_start_may_take_three_times_what_it_took(started_in: float | None, limit: int):
    deployable = make_deployable(started_in=started_in)
    assert deployable.start_within == limit
    assert deployable.first_start_within == limit + 1800


def test_a_directory_needs_no_download_unless_a_flag_names_another_model():
    deployable = make_deployable(model="/srv/m", is_directory=True, flags={})
    assert deployable.first_start_within == deployable.start_within
    assert make_deployable(model="/srv/m", is_directory=True, flags={"speculative-config.model": "a/b"}).needs_hub


def test_a_directory_is_served_under_its_own_name():
    assert "--served-model-name=m" in make_deployable(model="/srv/m", is_directory=True).serve_arguments("127.0.0.1")
    assert make_deployable().served_name is None


def test_the_environment_never_holds_a_secret():
    env = {"B": "2", "HF_TOKEN": "hf_abcdefgh", "PROXY": "http://me:secret@host/", "A": "1"}
    assert list(make_deployable(env=env).environment.items()) == [("A", "1"), ("B", "2")]
