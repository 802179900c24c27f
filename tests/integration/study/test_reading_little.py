"""What is read in part answers as what is read whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.large.make import make
from tests.benchmarks.large.night import BEGAN, trial
from tuner.analysis.figures import overview
from tuner.domain.errors import InputError
from tuner.domain.slo import parse_slo
from tuner.domain.trial import Provenance, Purpose, Study, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.reader import Reader, open_reader
from tuner.store.writer import Store, open_store
from tuner.study.answer import best_answer, stored_answer
from tuner.study.front import at_rate_names, front, stored_front
from tuner.study.listing import LISTED, listing
from tuner.study.rejudge import rejudged

METRICS = [("capacity_rps", "ttft_p95"), ("ttft_p95", "tpot_p50", "goodput_rps"), ("e2e_p90", "users_mean")]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 40 trials, of which two were confirmed and one refined."""
    made = tmp_path_factory.mktemp("little") / "results.db"
    make(made, trial_count=40, records=6000, points=4)
    with open_store(DatabaseLocation.parse(str(made))) as store:
        for trial_id in (1, 3):
            for attempt in (2, 3):
                launch_again(store, trial_id, attempt, Purpose.CONFIRM)
        launch_again(store, 5, 2, Purpose.REFINE)
    return made


def launch_again(store: Store, trial_id: int, attempt: int, purpose: Purpose) -> None:
    """Launch a stored configuration again: it finds what a trial of another number would."""
    found = trial(trial_id + 100 * attempt, TrialState.MEASURED, [50, 50])
    launch = store.begin_launch(
        trial_id, attempt, purpose=purpose, argv=(), log_path="", started_at=BEGAN, provenance=Provenance()
    )
    for one in found.points:
        point = one.point.model_copy(update={"index": 10 * attempt + one.point.index, "attempt": attempt})
        store.save_load_point(trial_id, launch, point, one.records, one.scrapes)
    assert found.capacity is not None
    store.launch_measured(launch, found.capacity)


@pytest.fixture
def results(path: Path) -> Iterator[Reader]:
    with open_reader(DatabaseLocation.parse(str(path))) as reader:
        yield reader


@pytest.fixture
def study(results: Reader) -> Study:
    (found,) = results.studies()
    return found


@pytest.mark.parametrize("target", [0.5, 5.0, 10.0, 13.0, 40.0])
@pytest.mark.parametrize("headroom", [1.0, 2.0])
def test_the_answer_is_the_same(results: Reader, study: Study, target: float, headroom: float):
    asked = {"target_rps": target, "headroom": headroom}
    whole = best_answer(study, results.trials(study.id), **asked, slos=study.spec.slos, records=results)

    assert stored_answer(study, results, **asked, slos=study.spec.slos) == whole


def test_the_answer_is_the_same_under_other_slos(results: Reader, study: Study):
    slos = (parse_slo("ttft_p95=150ms"),)
    whole = best_answer(study, results.trials(study.id), target_rps=5.0, headroom=2.0, slos=slos, records=results)

    assert stored_answer(study, results, target_rps=5.0, headroom=2.0, slos=slos) == whole


@pytest.mark.parametrize("metrics", METRICS)
def test_the_front_is_the_same(results: Reader, study: Study, metrics: tuple[str, ...]):
    judged = rejudged(results.trials(study.id), study.spec, study.spec.slos, results)

    assert stored_front(study, results, metrics, study.spec.slos) == front(
        study, [one.trial for one in judged], metrics
    )


def test_a_figure_that_does_not_exist_is_refused(results: Reader, study: Study):
    with pytest.raises(InputError, match="ttft_p42"):
        stored_front(study, results, ("capacity_rps", "ttft_p42"), study.spec.slos)


def test_the_list_is_the_same(results: Reader, study: Study):
    whole = [overview(one, study.spec.target_rps, LISTED) for one in results.trials(study.id)]

    assert listing(study, results).trials == whole


def test_a_capacity_is_none_of_a_load_points_figures():
    assert at_rate_names(("capacity_rps", "ttft_p95")) == ("ttft_p95",)
