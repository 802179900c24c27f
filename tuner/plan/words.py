"""Figures for people."""

GIB = 1 << 30
_BILLION, _MILLION, _TEN = 1e9, 1e6, 10.0


def gib(size: float) -> str:
    """Return bytes as `79.2 GiB`, smaller ones as `512 MiB`."""
    if abs(size) < GIB / 2:
        return f"{size / (1 << 20):,.0f} MiB"
    return f"{size / GIB:,.1f} GiB"


def billions(count: float) -> str:
    """Return a count of parameters as `8.03 billion`, small ones as `160 million`."""
    if count >= _BILLION:
        return f"{count / _BILLION:.3g} billion"
    return f"{count / _MILLION:.3g} million"


def seconds(value: float) -> str:
    """Return a duration as `7.6 ms`, `126 ms`, `1.2 s` or `787 s`."""
    unit, amount = ("s", value) if value >= 1 else ("ms", value * 1e3)
    return f"{amount:.0f} {unit}" if amount >= _TEN else f"{amount:.1f} {unit}"


def tokens(count: float) -> str:
    """Return a count of tokens: `1,024`, or `512.5` where it is a mean."""
    return f"{count:,.0f}" if count == round(count) else f"{count:,.1f}"
