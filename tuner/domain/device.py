"""A GPU as data: what arithmetic needs to know of it, with the source of each figure."""

from typing import Annotated, Literal

from pydantic import Field

from tuner.domain.base import Frozen


class Device(Frozen):
    """One kind of GPU, or a CPU. Figures are the vendor's, without sparsity, or measured here."""

    name: str
    """As users name it: `h100-sxm`."""
    title: str
    """As the vendor does."""
    vendor: Literal["nvidia", "amd", "cpu"]
    memory_bytes: Annotated[int, Field(gt=0)]
    """What the driver offers as total, which is what vLLM takes its share of."""
    bandwidth: Annotated[float, Field(gt=0)]
    """Memory bandwidth, bytes per second."""
    bf16_flops: Annotated[float, Field(gt=0)] | None = None
    """Dense 16-bit tensor operations per second."""
    fp8_flops: Annotated[float, Field(gt=0)] | None = None
    """Dense 8-bit float tensor operations per second; None where the GPU has none."""
    capability: str | None = None
    """CUDA compute capability, `9.0`."""
    driver_names: tuple[str, ...] = ()
    """What NVML calls it."""
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    """Where the figures stand: a data sheet's title, or `measured here`."""
    note: str = ""
