"""Raw records taken out of real result files."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes.builders import BEGAN
from tests.fakes.results import result_file
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.slo import parse_slo
from tuner.domain.trial import Purpose, Study, Trial
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.prune import raw_data
from tuner.store.reader import open_reader
from tuner.study.answer import best_answer
from tuner.study.prune import Keep, Pruning, Rule, plan_pruning, prune

DEFAULT = Rule()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trial 0 the defaults, 2 the best and alone on the front, 3 measured again later."""
    path = tmp_path_factory.mktemp("template") / "results.db"
    with result_file(path) as file:
        for number, holds in enumerate((2.0, 4.0, 8.0)):
            file.measure({"max-num-seqs": number} if number else {}, holds)
        launch_id = file.launch(file.measure({"max-num-seqs": 3}, 4.0), 2, Purpose.CONFIRM)
        file.store.end_launch(launch_id, BEGAN + timedelta(days=1), 0, None, {})
    return path


@pytest.fixture
def location(template: Path, tmp_path: Path) -> DatabaseLocation:
    path = tmp_path / "results.db"
    path.write_bytes(template.read_bytes())
    return DatabaseLocation.parse(str(path))


def stored(location: DatabaseLocation) -> tuple[Study, tuple[Trial, ...]]:
    with open_reader(location) as reader:
        study = reader.studies()[0]
        return study, reader.trials(study.id)


def planned(location: DatabaseLocation, rule: Rule) -> Pruning:
    return plan_pruning(location, *stored(location), rule)


def done(location: DatabaseLocation, rule: Rule) -> Pruning:
    return prune(location, *stored(location), rule)


def test_a_plan_changes_nothing(location: DatabaseLocation):
    assert location.path is not None
    before = location.path.read_bytes()
    found = planned(location, DEFAULT)
    assert (found.trials, found.kept, found.done) == ((1,), (0, 2, 3), False)
    assert found.bytes_of_records > 0
    assert location.path.read_bytes() == before


def test_figures_stay_and_so_do_the_records_of_what_is_kept(location: DatabaseLocation):
    study, before = stored(location)
    found = done(location, DEFAULT)
    assert (found.trials, found.done) == ((1,), True)
    _, after = stored(location)
    assert after == before
    with open_reader(location) as reader:
        for trial in after:
            records = [reader.records(trial.id, point.index) for point in trial.load_points]
            assert all(records) == any(records) == (trial.number != 1)
    own = best_answer(study, after, target_rps=2.0, headroom=2.0, slos=study.spec.slos)
    assert own == best_answer(study, before, target_rps=2.0, headroom=2.0, slos=study.spec.slos)


def test_a_file_without_records_is_smaller_and_still_answers_for_other_slos(location: DatabaseLocation):
    assert location.path is not None
    before = location.path.stat().st_size
    found = done(location, Rule(keep=(Keep.NOTHING,)))
    assert found.bytes_freed == before - location.path.stat().st_size > 0
    study, trials = stored(location)
    assert raw_data(location, study.id) == ()
    slos = (parse_slo("ttft_p95=300ms"),)
    assert best_answer(study, trials, target_rps=2.0, headroom=2.0, slos=slos).capacity_rps > 0


def test_a_second_time_takes_out_nothing(location: DatabaseLocation):
    done(location, DEFAULT)
    assert planned(location, DEFAULT).load_points == 0


def test_what_is_new_stays_whatever_it_is_of(location: DatabaseLocation):
    _, trials = stored(location)
    third = trials[2].load_points[0].started_at
    found = planned(location, Rule(keep=(Keep.NOTHING,), newer_than=third))
    assert (found.trials, found.kept) == ((0, 1), (2, 3))
    assert planned(location, Rule(keep=(Keep.NOTHING,), newer_than=BEGAN)).load_points == 0


def test_trials_can_be_kept_by_number_and_by_word(location: DatabaseLocation):
    assert planned(location, Rule(keep=("1",))).kept == (1,)
    assert planned(location, Rule(keep=("baseline", "1"))).kept == (0, 1)
    assert planned(location, Rule(keep=("confirmed",))).kept == (3,)
    assert planned(location, Rule(keep=("front",))).kept == (2,)
    with pytest.raises(InputError, match="no trial of night") as refusal:
        planned(location, Rule(keep=("9",)))
    assert "baseline" in refusal.value.advice


def test_a_running_tuner_keeps_others_out(location: DatabaseLocation):
    with writer_lock(location, "night"), pytest.raises(SurroundingsError, match="writing into this file"):
        done(location, DEFAULT)
