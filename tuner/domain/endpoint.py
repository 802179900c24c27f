"""The endpoints of a server. Apart from `tuner.domain.workload`, so that a command line's help need not load models."""

from enum import StrEnum


class Endpoint(StrEnum):
    """Which of the server's endpoints is asked."""

    COMPLETIONS = "completions"
    """Prompts are token ids, so that lengths are exact without a tokenizer; text where a trace holds text."""
    CHAT = "chat"
    """Messages of plain words: a prompt's length in tokens is what the server's `usage` says."""
