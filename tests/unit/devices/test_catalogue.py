"""The shipped GPUs: figures that can be, by name, each with its source."""

import re
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from pydantic import ValidationError

from tuner.devices.catalogue import Entry, by_driver_name, device, devices
from tuner.domain.device import Device
from tuner.domain.errors import InputError

TABLES: dict[str, dict[str, Any]] = tomllib.loads((files("tuner.devices") / "catalogue.toml").read_text())
DENSE_BF16 = {
    "a10": 125, "a30": 165, "a40": 149.7, "a100-40gb": 312, "a100-80gb": 312, "l4": 121, "l40s": 362, "t4": 65,
    "v100-32gb": 125, "h100-pcie": 756, "h100-sxm": 989, "h200": 989, "b200": 2250, "gb200": 2500, "rtx-3090": 71,
    "rtx-4090": 165, "rtx-5090": 209.5, "mi300x": 1307, "mi355x": 2500,
}  # fmt: skip
"""TFLOP/s without sparsity, as vendors state or halve them."""


@pytest.mark.parametrize("name", ["a10", "a40", "l4", "l40s", "a100-40gb", "a100-80gb", "h100-pcie", "h100-sxm", "h200",
                                  "b200", "rtx-4090", "rtx-5090", "mi300x", "gh200", "mi325x", "b300"])  # fmt: skip
def test_the_gpus_that_people_ask_for_are_there(name: str):
    assert device(name).name == name


@pytest.mark.parametrize("found", devices().values(), ids=lambda each: each.name)
def test_every_entry_is_plausible(found: Device):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", found.name)
    assert 10 * 2**30 < found.memory_bytes < 300 * 2**30
    assert 250e9 < found.bandwidth <= 8e12
    assert found.bf16_flops is not None
    assert 60e12 <= found.bf16_flops <= 2.5e15
    operations_for_a_byte = found.bf16_flops / found.bandwidth
    assert 70 < operations_for_a_byte < 500
    assert len(found.sources) >= 2, "the vendor's page and what was seen of the memory"
    assert (found.capability is None) == (found.vendor == "amd")
    assert (found.driver_names == ()) == (found.vendor == "amd")


@pytest.mark.parametrize("found", devices().values(), ids=lambda each: each.name)
def test_eight_bit_floats_come_with_the_generations_that_have_them_at_twice_the_rate(found: Device):
    has_them = found.capability is not None and float(found.capability) >= 8.9
    if found.vendor == "nvidia":
        assert (found.fp8_flops is not None) == has_them
    if found.fp8_flops is not None and found.bf16_flops is not None:
        assert found.fp8_flops == pytest.approx(2 * found.bf16_flops, rel=0.02)


@pytest.mark.parametrize(("name", "tflops"), DENSE_BF16.items())
def test_rates_are_dense_ones(name: str, tflops: float):
    flops = device(name).bf16_flops
    assert flops is not None
    assert flops / 1e12 == pytest.approx(tflops, rel=0.002)


@pytest.mark.parametrize(("name", "gib"), [("a100-80gb", 79.15), ("h100-sxm", 79.18), ("h200", 139.72), ("l4", 22.03)])
def test_memory_is_what_vllm_logs_as_total(name: str, gib: float):
    assert device(name).memory_bytes == round(gib * 2**30)


def test_no_two_gpus_have_the_same_driver_name():
    names = [name for each in devices().values() for name in each.driver_names]
    assert len(set(names)) == len(names)


def test_a_driver_name_leads_to_its_gpu_and_no_part_of_it_does():
    l4, l40s = by_driver_name("NVIDIA L4"), by_driver_name("NVIDIA L40S")
    assert l4 is not None
    assert l40s is not None
    assert (l4.name, l40s.name) == ("l4", "l40s")
    assert by_driver_name("NVIDIA L") is None


def test_a_name_may_be_written_in_capitals():
    assert device(" H100-SXM ") == device("h100-sxm")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("h100", "h100-pcie or h100-sxm or h100-nvl"),
        ("a100-80", "a100-80gb or"),
        ("rtx4090", "rtx-4090"),
        ("mi300", "mi300x"),
    ],
)
def test_an_unknown_gpu_gets_its_variants_or_the_nearest_name(typed: str, said: str):
    with pytest.raises(InputError, match="tuner gpus") as caught:
        device(typed)
    assert caught.value.where == "--gpu"
    assert said in caught.value.what


@pytest.mark.parametrize(
    "change",
    [{"bf16_tflops": None}, {"bf16_tflops_with_sparsity": 2000}, {"sources": []}, {"memory_gib": 0}, {"speed": 3}],
)
def test_an_entry_that_says_too_little_or_too_much_is_refused(change: dict[str, Any]):
    with pytest.raises(ValidationError):
        Entry.model_validate(TABLES["a10"] | change)


def test_a_rate_twice_is_refused():
    with pytest.raises(ValidationError, match="twice"):
        Entry.model_validate(TABLES["l4"] | {"fp8_tflops": 242})
