"""Small random models of many architectures: configurations that vLLM serves with `--load-format dummy`."""

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LENGTH = 4096
COMMON: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "max_position_embeddings": LENGTH,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 3,
    "torch_dtype": "bfloat16",
}


def _of(architecture: str, model_type: str, **changes: Any) -> dict[str, Any]:
    return {"architectures": [architecture], "model_type": model_type, **COMMON, **changes}


_GEMMA = {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 64, "tie_word_embeddings": True}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Llama": _of("LlamaForCausalLM", "llama", rope_theta=10000.0, head_dim=64),
    "Qwen3 (dense)": _of("Qwen3ForCausalLM", "qwen3", head_dim=128, tie_word_embeddings=True, rope_theta=1e6),
    "Mistral, window 1024": _of("MistralForCausalLM", "mistral", sliding_window=1024, head_dim=64),
    "Gemma 2": _of(
        "Gemma2ForCausalLM", "gemma2", head_dim=64, sliding_window=1024, num_hidden_layers=10, **_GEMMA,
        attn_logit_softcapping=50.0, final_logit_softcapping=30.0,
        layer_types=["sliding_attention", "full_attention"] * 5,
    ),
    "Gemma 3": _of(
        "Gemma3ForCausalLM", "gemma3_text", head_dim=64, sliding_window=512, num_hidden_layers=13, **_GEMMA,
        layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 2 + ["sliding_attention"],
    ),
    "Phi-3": _of("Phi3ForCausalLM", "phi3", original_max_position_embeddings=LENGTH, rope_theta=10000.0),
    "Mixtral": _of("MixtralForCausalLM", "mixtral", num_local_experts=8, num_experts_per_tok=2, intermediate_size=1024),
    "Qwen3-MoE": _of(
        "Qwen3MoeForCausalLM", "qwen3_moe", head_dim=64, num_experts=16, num_experts_per_tok=4,
        moe_intermediate_size=512, decoder_sparse_step=1, norm_topk_prob=True, mlp_only_layers=[],
    ),
    "DeepSeek-V2 (MLA)": _of(
        "DeepseekV2ForCausalLM", "deepseek_v2", num_key_value_heads=16, kv_lora_rank=512, q_lora_rank=None,
        qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, n_routed_experts=8, n_shared_experts=2,
        num_experts_per_tok=2, moe_intermediate_size=512, first_k_dense_replace=1, moe_layer_freq=1,
        topk_method="greedy", n_group=1, topk_group=1, scoring_func="softmax", routed_scaling_factor=1.0,
        norm_topk_prob=False,
    ),
    "gpt-oss": _of(
        "GptOssForCausalLM", "gpt_oss", head_dim=64, sliding_window=128, num_local_experts=8, num_experts_per_tok=2,
        intermediate_size=1024, attention_bias=True, rope_theta=150000.0, swiglu_limit=7.0,
        rope_scaling={
            "rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
            "original_max_position_embeddings": 1024, "truncate": False,
        },
        layer_types=["sliding_attention", "full_attention"] * 4,
    ),
    "Granite 4 hybrid (Mamba 2)": _of(
        "GraniteMoeHybridForCausalLM", "granitemoehybrid", num_local_experts=0, num_experts_per_tok=0,
        shared_intermediate_size=2816, mamba_n_heads=32, mamba_d_head=64, mamba_d_state=128, mamba_n_groups=1,
        mamba_d_conv=4, mamba_expand=2, mamba_chunk_size=256, mamba_conv_bias=True, mamba_proj_bias=False,
        position_embedding_type="nope", attention_multiplier=0.015625, embedding_multiplier=12.0,
        logits_scaling=8.0, residual_multiplier=0.22,
        layer_types=["mamba", "mamba", "mamba", "attention"] * 2,
    ),
    "Qwen3-Next hybrid (linear attention)": _of(
        "Qwen3NextForCausalLM", "qwen3_next", head_dim=128, num_key_value_heads=2, num_experts=8,
        num_experts_per_tok=2, moe_intermediate_size=512, shared_expert_intermediate_size=512,
        decoder_sparse_step=1, norm_topk_prob=True, mlp_only_layers=[], partial_rotary_factor=0.25,
        linear_conv_kernel_dim=4, linear_key_head_dim=128, linear_value_head_dim=128, linear_num_key_heads=8,
        linear_num_value_heads=16, full_attention_interval=4, rope_theta=1e7,
        layer_types=(["linear_attention"] * 3 + ["full_attention"]) * 2,
    ),
}  # fmt: skip


def write(name: str, directory: Path) -> Path:
    """Write a model's files: the project's byte-level tokenizer and the configuration."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "scripts" / "make-tiny-model", directory], check=True)
    text = json.dumps(ARCHITECTURES[name], indent=2) + "\n"
    (directory / "config.json").write_text(text, encoding="utf-8")
    return directory
