"""A plan as people read it."""

import io
from datetime import UTC, datetime

from rich.console import Console

from tests.fakes.builders import make_spec
from tests.fakes.plans import make_device, make_model, make_plan, planned
from tuner.cli.plan_record import plan_record
from tuner.cli.plan_view import print_plans, print_study_plan
from tuner.domain.model import Weights, WeightUse
from tuner.domain.plan import Basis, Demand, MemoryItem, Range
from tuner.domain.slo import parse_slo
from tuner.study.plan import Planned
from tuner.study.study_plan import StudyPlan, study_plan

SMALL = make_device(name="small", title="Vendor Small GPU", bandwidth=300e9, note="Slow.")


def refuted(*notes: str) -> Planned:
    return planned(
        SMALL,
        fits=False,
        problem="weights take 3 GiB more than there is",
        remedies=("--tensor-parallel-size 2", "one of big"),
        expected_rps=None,
        suggested=None,
        binding="weights: they leave no room",
        notes=notes,
    )


def console() -> Console:
    return Console(file=io.StringIO(), width=160, markup=False, highlight=False, emoji=False)


def text_of(used: Console) -> str:
    assert isinstance(used.file, io.StringIO)
    return used.file.getvalue()


def shown(*plans: Planned) -> str:
    used = console()
    print_plans(used, plans)
    return text_of(used)


def cells(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(name))
    return line.removeprefix(name).split()


def test_the_memorys_sum_stands_in_its_order_with_what_is_known_and_why():
    text = shown(planned())
    order = [text.index(f"\n{name} ") for name in ("GPU memory", "weights", "activations", "KV cache")]
    assert order == sorted(order)
    assert cells(text, "weights")[:6] == ["2.00", "GiB", "measured", "as", "vLLM", "logged"]
    assert "assumed" in cells(text, "activations")


def test_the_question_stands_above_the_answer():
    text = shown(planned(demand=Demand(rps=3, slos=(parse_slo("ttft_p95=500ms"),))))
    assert "For requests of 500 + 50 tokens at 3 req/s with ttft_p95 ≤ 500 ms:" in text
    assert (
        "org/dense-1b: dense, grouped-query attention · 1.00 billion parameters (by its configuration) · bfloat16"
        in text
    )
    assert "big: Vendor Big GPU, 80.00 GiB, 2 TB/s, 300 TFLOP/s" in text


def test_a_mixture_of_experts_says_how_much_of_it_is_active():
    experts = Weights(use=WeightUse.EXPERTS, parameters=8_000_000_000, bytes=16_000_000_000, read=0.25)
    mixture = planned().model_copy(update={"model": make_model(weights=(experts,))})
    assert "8.00 billion parameters, 2.00 billion active" in shown(mixture)


def test_a_tiny_model_is_counted_in_millions_and_mebibytes():
    few = Weights(use=WeightUse.MLP, parameters=3_160_000, bytes=6_320_000)
    little = MemoryItem(name="weights", bytes=6_320_000, basis=Basis.COMPUTED, why="a few")
    tiny = planned(memory=(little,)).model_copy(update={"model": make_model(weights=(few,))})
    assert "3.16 million parameters" in shown(tiny)
    assert cells(shown(tiny), "weights")[:2] == ["6.0", "MiB"]


def test_figures_have_units_and_starting_values_have_reasons():
    text = shown(planned())
    assert cells(text, "a token") == ["32.0", "KiB"]
    assert cells(text, "tokens that fit") == ["2,523,136"]
    assert cells(text, "requests a second, one replica") == ["25–100"]
    assert "--max-num-seqs 40: ten requests a second" in text
    none = shown(planned(expected_rps=Range(low=0.0, high=0.0)))
    assert cells(none, "requests a second, one replica") == ["0"]


def test_several_gpus_stand_side_by_side_and_keep_their_own_advice():
    text = shown(planned(notes=("shared",)), refuted("shared"))
    assert cells(text, "memory")[:2] == ["big", "small"]
    assert "why" not in cells(text, "memory")
    assert cells(text, "start with max-num-seqs") == ["40", "–"]
    assert "small: does not fit: weights take 3 GiB more" in text
    assert "small: would fit: --tensor-parallel-size 2" in text
    assert "small: note: Slow." in text
    assert text.count("note: shared") == 1


def test_a_replica_of_several_gpus_says_how_many():
    text = shown(planned(gpus=4))
    assert "4 × Vendor Big GPU, each 80.00 GiB" in text
    assert "4 × big" in text


def test_a_device_without_a_rate_has_no_prefill_floor():
    text = shown(planned(make_device(bf16_flops=None), prefill_floor_s=None))
    assert cells(text, "prefill of a prompt, at least") == ["–"]
    assert "FLOP/s" not in text


def test_json_has_plain_numbers_to_start_with_and_their_reasons_beside_them():
    record = plan_record(planned())
    assert record["suggested"]["max_num_seqs"] == 40
    assert record["suggested"]["max_num_batched_tokens"] == 8192
    assert record["suggested"]["why"]["max_num_seqs"].startswith("ten requests")
    assert record["expected_rps"] == {"low": 25.0, "high": 100.0}
    assert plan_record(refuted())["suggested"] is None


def course(**changes: object) -> StudyPlan:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return study_plan(make_spec(**changes), make_plan(), make_device(), (), now=now)


def test_a_studys_time_is_told_with_what_is_known_of_it():
    used = console()
    print_study_plan(used, "night", course(budget={"hours": 8.0}, target_rps=0.5, engine={"gpus": [0, 1]}))
    text = text_of(used)
    assert "Study night: " in text
    assert "by budget.hours" in text
    assert "expected" in cells(text, "a launch until it answers")
    assert cells(text, "GPU-hours")[0].startswith("1")
    assert cells(text, "search space")[0] == "61,504"
    assert "no time for capacities to ±5%" in text


def test_a_study_without_an_end_says_so():
    used = console()
    print_study_plan(used, "night", course())
    assert "Study night: no bound in trials, hours or time of day" in text_of(used)
    assert "GPU-hours" not in text_of(used)
