"""Auto-tuning sweep orchestrator for vLLM."""

__version__ = "0.1.0"
