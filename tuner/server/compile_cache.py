"""The compile cache of a study: vLLM's VLLM_CACHE_ROOT, kept across its launches, wiped when it is poisoned.

A study has one of its own, so that another vLLM of this machine can neither poison it nor be slowed by its wiping. Only
a directory that the tuner itself chose is ever removed.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "VLLM_CACHE_ROOT"


@dataclass(frozen=True, slots=True)
class CompileCache:
    """A study's compile cache; without a directory, the user's own is left alone."""

    directory: Path | None

    @classmethod
    def of_study(
        cls, study: str, work_dir: Path, *, engine_env: Mapping[str, str], environ: Mapping[str, str]
    ) -> "CompileCache":
        """Return where a study's cache is: nowhere of ours when `engine.env` names one.

        Args:
            study: the study's name.
            work_dir: where the files beside the result file are.
            engine_env: the study's environment of every launch.
            environ: the caller's environment; a VLLM_CACHE_ROOT in it is where the study's directory is made.
        """
        if VARIABLE in engine_env:
            return cls(None)
        root = environ.get(VARIABLE)
        home = Path(root).expanduser() / "tuner" if root else work_dir / "cache"
        return cls((home / study).absolute())

    @property
    def environment(self) -> dict[str, str]:
        """The environment that makes a launch use it."""
        return {} if self.directory is None else {VARIABLE: str(self.directory)}

    def wipe(self) -> bool:
        """Remove what is in it, and return whether there was anything that is ours to remove."""
        if self.directory is None or not self.directory.is_dir():
            return False
        shutil.rmtree(self.directory, ignore_errors=True)
        return True
