"""The base of every domain model: frozen, strict about unknown keys."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value. Unknown keys are errors, so that a typing mistake never passes in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
