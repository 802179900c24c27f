"""Latent attention under dense layers and mixtures: DeepSeek V2, V3, V3.2, Kimi K2, GLM-4.7-Flash. Pure."""

from tuner.models.decoder import Style, assemble, ends, intermediate_size, norms
from tuner.models.families.mixtures import first_dense, kind, shared, visited
from tuner.models.feedforward import Experts, Mlp, experts_parts, mlp_parts
from tuner.models.fields import Fields
from tuner.models.latent import Latent
from tuner.models.parts import Blueprint, Layer


def deepseek_v2(fields: Fields) -> Blueprint:
    """DeepSeek V2, V2-Lite and V2.5: no correction bias in the router."""
    return _build(fields, correction=fields.text("topk_method") == "noaux_tc")


def deepseek_v3(fields: Fields) -> Blueprint:
    """DeepSeek V3, R1, V3.1, V3.2 and Kimi K2."""
    return _build(fields, correction=True)


def _build(fields: Fields, *, correction: bool) -> Blueprint:
    latent = Latent.read(fields)
    routed = shared(fields, correction=correction) if fields.count("num_local_experts", 0) else None
    sparse = first_dense(fields, 1 if fields.text("model_type") == "glm4_moe_lite" else 0)
    width = intermediate_size(fields)
    style = Style()
    layers = [
        _layer(index, latent, routed if routed and sparse(index) else None, width, style)
        for index in range(fields.size("num_hidden_layers"))
    ]
    name = kind(routed) if routed else "dense"
    sparse_note = " with a sparse index" if latent.index_dim else ""
    whole = assemble(
        fields,
        layers,
        rest=ends(fields, style),
        kind=f"{name}, multi-head latent attention{sparse_note}",
        intermediate=width,
        rotary=latent.rope,
    )
    return visited(whole, routed) if routed else whole


def _layer(index: int, latent: Latent, routed: Experts | None, width: int, style: Style) -> Layer:
    scope = f"model.layers.{index}"
    feed = f"{scope}.mlp"
    return Layer(
        (latent.cache(),),
        (
            *latent.parts(f"{scope}.self_attn"),
            *(experts_parts(feed, latent.hidden, routed) if routed else mlp_parts(feed, latent.hidden, width, Mlp())),
            *norms(scope, style, latent.hidden),
        ),
    )
