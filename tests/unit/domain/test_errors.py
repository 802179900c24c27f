import pytest

from tuner.domain.errors import BreakerError, InputError, LaunchError, SurroundingsError, TunerError
from tuner.domain.failure import Failure, FailureKind


def test_a_message_says_where_what_and_then_what_to_do() -> None:
    assert str(InputError("is empty")) == "is empty"
    assert str(InputError("is empty", where="a.yaml:3")) == "a.yaml:3: is empty"
    assert str(InputError("is empty", where="a.yaml", advice="fill it")) == "a.yaml: is empty\nfill it"


@pytest.mark.parametrize(
    ("error", "code"), [(TunerError, 1), (InputError, 2), (SurroundingsError, 3), (BreakerError, 4)]
)
def test_each_kind_of_error_has_its_exit_code(error: type[TunerError], code: int) -> None:
    assert error("x").exit_code == code


def test_a_launch_error_shows_its_evidence_or_else_its_kind() -> None:
    failure = Failure(kind=FailureKind.OOM_START, evidence="CUDA out of memory", advice="lower max-num-seqs")
    assert str(LaunchError(failure)) == "CUDA out of memory\nlower max-num-seqs"
    assert str(LaunchError(Failure(kind=FailureKind.UNKNOWN))) == "unknown"


def test_a_failure_teaches_the_sampler_only_where_the_configuration_caused_it() -> None:
    innocent = {kind for kind in FailureKind if not kind.is_configuration_fault}
    assert {
        FailureKind.PORT_IN_USE,
        FailureKind.GPU_BUSY,
        FailureKind.CLIENT_FAILED,
        FailureKind.INTERRUPTED,
    } <= innocent
    assert FailureKind.OOM_START not in innocent
