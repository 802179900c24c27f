"""A model's configuration and weight headers, local or from a hub, as a ModelShape.

Reads a few kilobytes: never weights, and never with torch or transformers. I/O lives in `source` and `headers`.
"""

from tuner.models.reading import read_model

__all__ = ["read_model"]
