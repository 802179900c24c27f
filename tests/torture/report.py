"""What a row of the fault matrix came to, and the table of all rows."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Row:
    """One row: what was injected how often, what was violated, how long the slowest cleanup took."""

    number: str
    injected: str
    runs: int = 0
    violations: list[str] = field(default_factory=list[str])
    slowest_s: float = 0.0
    notes: str = ""
    began: float = field(default_factory=time.monotonic)

    def add(self, violations: Iterable[str] = (), *, cleanup_s: float = 0.0) -> None:
        """Count one run."""
        self.runs += 1
        self.violations += violations
        self.slowest_s = max(self.slowest_s, cleanup_s)

    def line(self) -> str:
        """Return it as a line of the table."""
        kinds = Counter(violation.partition(":")[0] for violation in self.violations)
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
        slowest = f"{self.slowest_s:.1f} s" if self.slowest_s else "–"
        return f"| {self.number} | {self.injected} | {self.runs} | {found} | {slowest} | {self.notes} |"


HEAD = "| row | injected | runs | violations | slowest cleanup | seen |\n| --- | --- | --- | --- | --- | --- |"
