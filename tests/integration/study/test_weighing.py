"""Requests weighed by several processes, each of which reads the result file itself."""

import shutil
from pathlib import Path

from tests.fakes.workbench import ROOT
from tuner.domain.slo import parse_slo
from tuner.metrics.hindsight import Case, Question, told_of
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.store.writer import open_store
from tuner.study.weighing import weighed


def test_shared_out_over_processes_the_verdicts_are_the_same(tmp_path: Path):
    shutil.copy(ROOT / "results.db", tmp_path / "results.db")
    location = DatabaseLocation.parse(str(tmp_path / "results.db"))
    with open_store(location):
        pass
    with open_reader(location) as reader:
        study = reader.studies()[-1]
        cases = {
            trial.id: Case({one.index: told_of(one) for one in trial.load_points}, ((0, 1),))
            for trial in reader.trials(study.id)
        }
        question = Question(study.spec.load, (parse_slo("ttft_p95=100ms"),), study.spec.target_rps)
        alone, shared = (weighed(question, cases, reader, processes) for processes in (1, 2))
    assert alone == shared
    assert all(one.known for one in alone.values())
    assert len(alone) == len(cases)
