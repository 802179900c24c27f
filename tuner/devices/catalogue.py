"""The shipped catalogue of GPUs: names become devices.

Owns the way from `catalogue.toml`, whose figures stand as the vendors print them, to typed devices in SI units. Knows
nothing of the GPU in this machine (`tuner.devices.local`).
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tuner.domain.base import Frozen
from tuner.domain.device import Device
from tuner.domain.errors import InputError
from tuner.domain.problems import nearest

_FILE = "catalogue.toml"
_GIB = 2**30
_SPARSITY = 2
"""Printed with sparsity, a rate counts the half of the operations that are left out."""

_Figure = Annotated[float, Field(gt=0)]


class Entry(Frozen):
    """One table of the file."""

    title: str
    vendor: Literal["nvidia", "amd"]
    driver_names: tuple[str, ...] = ()
    memory_gib: _Figure
    bandwidth_gb_s: _Figure
    bf16_tflops: _Figure | None = None
    bf16_tflops_with_sparsity: _Figure | None = None
    fp8_tflops: _Figure | None = None
    fp8_tflops_with_sparsity: _Figure | None = None
    capability: Annotated[str, Field(pattern=r"^\d+\.\d$")] | None = None
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    note: str = ""

    @model_validator(mode="after")
    def _says_each_rate_once(self) -> Self:
        if (self.bf16_tflops is None) == (self.bf16_tflops_with_sparsity is None):
            raise ValueError("needs bf16_tflops or bf16_tflops_with_sparsity")
        if self.fp8_tflops is not None and self.fp8_tflops_with_sparsity is not None:
            raise ValueError("has fp8_tflops twice")
        return self

    def device(self, name: str) -> Device:
        """Return the device in bytes, bytes per second and dense operations per second."""
        return Device(
            name=name,
            title=self.title,
            vendor=self.vendor,
            memory_bytes=round(self.memory_gib * _GIB),
            bandwidth=self.bandwidth_gb_s * 1e9,
            bf16_flops=_dense(self.bf16_tflops, self.bf16_tflops_with_sparsity),
            fp8_flops=_dense(self.fp8_tflops, self.fp8_tflops_with_sparsity),
            capability=self.capability,
            driver_names=self.driver_names,
            sources=self.sources,
            note=self.note,
        )


def _dense(tflops: float | None, with_sparsity: float | None) -> float | None:
    printed = tflops or (with_sparsity / _SPARSITY if with_sparsity else None)
    return None if printed is None else printed * 1e12


@cache
def devices() -> Mapping[str, Device]:
    """Return every GPU of the catalogue by name, in the file's order."""
    tables = tomllib.loads((files("tuner.devices") / _FILE).read_text(encoding="utf-8"))
    return MappingProxyType({name: Entry.model_validate(table).device(name) for name, table in tables.items()})


def device(name: str) -> Device:
    """Return the GPU of this name.

    Raises:
        InputError: there is none; names the nearest.
    """
    wanted = name.strip().lower()
    if wanted not in devices():
        raise InputError(
            f"there is no GPU named {name!r}; {_nearest(wanted)}",
            where="--gpu",
            advice="`tuner gpus` lists them; without --gpu the plan is for this machine.",
        )
    return devices()[wanted]


def _nearest(wanted: str) -> str:
    """Return the variants of a GPU that is named without one (`h100`), else the nearest name."""
    variants = [known for known in devices() if wanted and known.startswith(wanted)]
    return f"did you mean {' or '.join(variants)}?" if variants else nearest(wanted, devices())


def by_driver_name(name: str) -> Device | None:
    """Return the GPU that NVML calls so, None where the catalogue has none."""
    return next((found for found in devices().values() if name in found.driver_names), None)
