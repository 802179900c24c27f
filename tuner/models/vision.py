"""The tower of a multimodal model and its projector: resident, but no part of generating tokens. Pure.

Exact for the towers named here (checked against transformers' own classes); for others an estimate from the usual keys,
which the notes say.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tuner.domain.model import WeightUse
from tuner.models.fields import Fields
from tuner.models.parts import Part

_KEYS = ("vision_config", "vision_tower_config", "visual")


@dataclass(frozen=True, slots=True)
class Tower:
    """A vision transformer."""

    hidden: int
    layers: int
    intermediate: int
    gated: bool = False
    bias: bool = True
    norm_bias: bool = True
    patch: int = 0
    """Parameters of the patch embedding."""
    positions: int = 0
    """Parameters of position embeddings and class tokens."""
    extra: int = 0
    """Parameters of norms around the layers."""

    @property
    def parameters(self) -> int:
        """All parameters of the tower, its projector aside."""
        width, inner = self.hidden, self.intermediate
        ups = 2 if self.gated else 1
        matrices = 4 * width * width + (ups + 1) * width * inner
        biases = (5 * width + ups * inner) if self.bias else 0
        norms = 2 * width * (2 if self.norm_bias else 1)
        return self.layers * (matrices + biases + norms) + self.patch + self.positions + self.extra


def encoder(config: Fields, text_hidden: int) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the tower's weights and what is to be said of them; nothing for a text model.

    Args:
        config: the whole configuration.
        text_hidden: the language model's hidden size, which the projector ends in.
    """
    key = next((key for key in _KEYS if key in config), None)
    audio = ("the audio tower is left out",) if "audio_config" in config else ()
    if key is None:
        return (), audio
    vision = config.part(key)
    kind = config.text("model_type")
    known = _KNOWN.get(kind)
    total = (known or _usual)(vision, config, text_hidden)
    note = f"vision tower and projector: {total / 1e9:.2f} billion parameters" + ("" if known else ", estimated")
    part = Part("vision_tower", WeightUse.ENCODER, total, read=0.0)
    return ((part,) if total else ()), (note, *audio)


def _conv(vision: Fields, hidden: int, *, bias: bool, frames: int = 1) -> int:
    patch, channels = vision.size("patch_size", 14), vision.size("num_channels", vision.size("in_channels", 3))
    return frames * channels * patch * patch * hidden + (hidden if bias else 0)


def _mlp(inputs: int, inner: int, outputs: int, *, bias: bool = True) -> int:
    return inputs * inner + inner * outputs + (inner + outputs if bias else 0)


def _patches(vision: Fields) -> int:
    return (vision.size("image_size", 336) // vision.size("patch_size", 14)) ** 2


def _usual(vision: Fields, _: Fields, text: int) -> int:
    """Return a CLIP-like tower and a two-layer projector, as LLaVA has them."""
    width = _first(vision, "hidden_size", "embed_dim", "width", default=1024)
    layers = _first(vision, "num_hidden_layers", "depth", "layers", default=24)
    inner = vision.size("intermediate_size", round(width * vision.number("mlp_ratio", 4.0)))
    tower = Tower(
        width,
        layers,
        inner,
        patch=_conv(vision, width, bias=False),
        positions=(_patches(vision) + 2) * width,
        extra=4 * width,
    )
    return tower.parameters + _mlp(width, text, text)


def _siglip(vision: Fields) -> Tower:
    width = vision.size("hidden_size", 768)
    return Tower(
        width,
        vision.size("num_hidden_layers", 12),
        vision.size("intermediate_size", 3072),
        patch=_conv(vision, width, bias=True),
        positions=_patches(vision) * width,
        extra=2 * width,
    )


def _gemma3(vision: Fields, _: Fields, text: int) -> int:
    tower = _siglip(vision)
    return tower.parameters + tower.hidden * text + tower.hidden


def _qwen2_vl(vision: Fields, _: Fields, text: int) -> int:
    width = vision.size("embed_dim", 1280)
    merged = width * vision.size("spatial_merge_size", 2) ** 2
    frames = vision.size("temporal_patch_size", 2)
    inner = round(width * vision.number("mlp_ratio", 4))
    tower = Tower(
        width, vision.size("depth", 32), inner, patch=_conv(vision, width, bias=False, frames=frames), extra=2 * width
    )
    return tower.parameters + _mlp(merged, merged, text)


def _qwen2_5_vl(vision: Fields, _: Fields, text: int) -> int:
    width = vision.size("hidden_size", 1280)
    merged = width * vision.size("spatial_merge_size", 2) ** 2
    frames = vision.size("temporal_patch_size", 2)
    tower = Tower(
        width,
        vision.size("depth", 32),
        vision.size("intermediate_size", 3420),
        gated=True,
        norm_bias=False,
        patch=_conv(vision, width, bias=False, frames=frames),
        extra=width,
    )
    return tower.parameters + _mlp(merged, merged, vision.size("out_hidden_size", text))


def _qwen3_vl(vision: Fields, _: Fields, text: int) -> int:
    width = vision.size("hidden_size", 1152)
    merged = width * vision.size("spatial_merge_size", 2) ** 2
    out = vision.size("out_hidden_size", text)
    deep = len(vision.integers("deepstack_visual_indexes")) if "deepstack_visual_indexes" in vision else 3
    tower = Tower(
        width,
        vision.size("depth", 27),
        vision.size("intermediate_size", 4304),
        patch=_conv(vision, width, bias=True, frames=vision.size("temporal_patch_size", 2)),
        positions=vision.size("num_position_embeddings", 2304) * width,
    )
    mergers = _mlp(merged, merged, out) * (1 + deep) + 2 * width + 2 * merged * deep
    return tower.parameters + mergers


def _pixtral(vision: Fields) -> Tower:
    width = vision.size("hidden_size", 1024)
    return Tower(
        width,
        vision.size("num_hidden_layers", 24),
        vision.size("intermediate_size", 4096),
        gated=True,
        bias=False,
        norm_bias=False,
        patch=_conv(vision, width, bias=False),
        extra=width,
    )


def _mistral3(vision: Fields, config: Fields, text: int) -> int:
    tower = _pixtral(vision)
    merge = config.size("spatial_merge_size", 2) ** 2
    bias = config.flag("multimodal_projector_bias")
    projector = tower.hidden + merge * tower.hidden * tower.hidden + _mlp(tower.hidden, text, text, bias=bias)
    return tower.parameters + projector


def _llava(vision: Fields, config: Fields, text: int) -> int:
    if vision.text("model_type") == "pixtral":
        tower = _pixtral(vision)
        return tower.parameters + _mlp(tower.hidden, text, text)
    return _usual(vision, config, text)


def _llama4(vision: Fields, _: Fields, text: int) -> int:
    width = vision.size("hidden_size", 768)
    out = vision.size("vision_output_dim", 4096)
    inner = vision.size("projector_input_dim", 4096)
    tower = Tower(
        width,
        vision.size("num_hidden_layers", 34),
        vision.size("intermediate_size", 5632),
        patch=_conv(vision, width, bias=False),
        positions=(_patches(vision) + 2) * width,
        extra=4 * width,
    )
    adapter = vision.size("intermediate_size", 5632) * inner + vision.size("projector_output_dim", 4096) ** 2
    return tower.parameters + adapter + out * text


def _first(fields: Fields, *names: str, default: int) -> int:
    return next((fields.size(name) for name in names if name in fields), default)


_KNOWN: dict[str, Callable[[Fields, Fields, int], int]] = {
    "gemma3": _gemma3,
    "llama4": _llama4,
    "llava": _llava,
    "mistral3": _mistral3,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen2_vl": _qwen2_vl,
    "qwen3_vl": _qwen3_vl,
    "qwen3_vl_moe": _qwen3_vl,
}
