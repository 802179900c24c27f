"""Safetensors headers of a local directory: names, dtypes and shapes of its tensors, a few kilobytes of each file.

A file is an 8-byte little-endian length, that many bytes of JSON, then the data. The length is checked before it is
believed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from tuner.domain.errors import InputError, SurroundingsError
from tuner.models.stored import BITS, Tensor

MAX_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library itself."""
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_ADVICE = "Download the file again, or name the config.json alone to compute the weights from it."


def local_tensors(directory: Path) -> tuple[Tensor, ...]:
    """Return the tensors of a directory's safetensors files; none where there are no such files.

    Raises:
        InputError: a file is not what it says it is.
        SurroundingsError: a file can't be read.
    """
    return tuple(tensor for path in weight_files(directory) for tensor in file_tensors(path))


def weight_files(directory: Path) -> Sequence[Path]:
    """Return the safetensors files that vLLM would load: those of the index where there is one, else all.

    None where the index names a file that is not there: half a model's headers say less than its configuration.
    """
    index = directory / "model.safetensors.index.json"
    files = sorted(directory.glob("*.safetensors"))
    if not index.is_file():
        return [path for path in files if not path.name.startswith("consolidated")] or files
    named = [directory / name for name in sorted(_indexed(index))]
    return named if set(named) <= set(files) else []


def file_tensors(path: Path) -> tuple[Tensor, ...]:
    """Return the tensors of one safetensors file.

    Raises:
        InputError: the file is not what it says it is.
        SurroundingsError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            header = _header(file, path)
    except OSError as error:
        raise SurroundingsError(f"can't be read: {error.strerror}", where=str(path)) from error
    return parse_header(header, where=str(path))


def parse_header(header: bytes, *, where: str) -> tuple[Tensor, ...]:
    """Return the tensors that a header's JSON describes.

    Raises:
        InputError: it is no such JSON.
    """
    try:
        decoded: object = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _malformed(where, "its header is not JSON") from error
    if not isinstance(decoded, dict):
        raise _malformed(where, "its header is not a JSON object")
    entries = cast("dict[str, object]", decoded)
    return tuple(_tensor(name, entry, where) for name, entry in entries.items() if name != _METADATA)


def _header(file: BinaryIO, path: Path) -> bytes:
    size = path.stat().st_size
    prefix = file.read(_LENGTH_BYTES)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _LENGTH_BYTES or length > min(MAX_HEADER, size - _LENGTH_BYTES):
        raise _malformed(str(path), f"its header would be {length} bytes long, the file has {size}")
    return file.read(length)


def _tensor(name: str, entry: object, where: str) -> Tensor:
    fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    dtype, shape = fields.get("dtype"), fields.get("shape")
    sizes = cast("list[object]", shape) if isinstance(shape, list) else [None]
    if not isinstance(dtype, str) or dtype not in BITS or not all(_is_size(size) for size in sizes):
        raise _malformed(where, f"its entry {name[:60]} has no known dtype and shape")
    return Tensor(name, dtype, tuple(cast("list[int]", sizes)))


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _indexed(index: Path) -> set[str]:
    try:
        decoded: object = json.loads(index.read_text(encoding="utf-8"))
    except OSError as error:
        raise SurroundingsError(f"can't be read: {error.strerror}", where=str(index)) from error
    except ValueError as error:
        raise _malformed(str(index), "it is not JSON") from error
    files = cast("dict[str, object]", decoded).get("weight_map") if isinstance(decoded, dict) else None
    if not isinstance(files, dict):
        raise _malformed(str(index), "it has no weight_map")
    names = set(cast("dict[str, object]", files).values())
    if not all(isinstance(name, str) and "/" not in name for name in names):
        raise _malformed(str(index), "its weight_map names something else than files beside it")
    return cast("set[str]", names)


def _malformed(where: str, why: str) -> InputError:
    return InputError(f"not a safetensors file: {why}", where=where, advice=_ADVICE)
