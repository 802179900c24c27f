from pathlib import Path

import pytest

from tuner.server.compile_cache import VARIABLE, CompileCache


def test_a_study_has_a_cache_of_its_own_beside_its_results(tmp_path: Path):
    caches = [CompileCache.of_study(name, tmp_path, engine_env={}, environ={}) for name in ("a", "b")]

    assert [cache.environment for cache in caches] == [
        {VARIABLE: str(tmp_path / "cache" / "a")},
        {VARIABLE: str(tmp_path / "cache" / "b")},
    ]


def test_the_shells_own_root_is_where_the_studys_directory_is_made(tmp_path: Path):
    cache = CompileCache.of_study("a", tmp_path, engine_env={}, environ={VARIABLE: "/scratch/vllm"})

    assert cache.directory == Path("/scratch/vllm/tuner/a")


@pytest.mark.parametrize("root", ["/mine", ""])
def test_a_root_in_the_studys_environment_wins_and_is_never_wiped(tmp_path: Path, root: str):
    cache = CompileCache.of_study("a", tmp_path, engine_env={VARIABLE: root}, environ={})

    assert (cache.directory, cache.environment, cache.wipe()) == (None, {}, False)


def test_wiping_removes_one_studys_cache_and_no_other(tmp_path: Path):
    one, other = (CompileCache.of_study(name, tmp_path, engine_env={}, environ={}) for name in ("a", "b"))
    for name in ("a", "b"):
        (tmp_path / "cache" / name / "torch_compile_cache").mkdir(parents=True)

    assert [one.wipe(), one.wipe()] == [True, False]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["b"]
    assert other.wipe()
