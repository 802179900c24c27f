"""Multi-head latent attention (DeepSeek V2 and later): one compressed vector instead of keys and values. Pure."""

from dataclasses import dataclass

from tuner.domain.model import LatentAttention, WeightUse
from tuner.models.fields import Fields
from tuner.models.parts import Parts, linear, norm

KV_UP = "kv_b_proj"
"""The projection that vLLM also keeps dequantised, absorbed into queries and outputs (`mla_attention.py`)."""


@dataclass(frozen=True, slots=True)
class Latent:
    """The sizes of latent attention."""

    hidden: int
    heads: int
    query_rank: int
    """0 where queries are not compressed."""
    kv_rank: int
    nope: int
    rope: int
    value: int
    index_heads: int
    index_dim: int
    bias: bool

    @classmethod
    def read(cls, fields: Fields) -> "Latent":
        """Read the keys of DeepSeek's configurations."""
        sparse = "index_topk" in fields
        return cls(
            hidden=fields.size("hidden_size"),
            heads=fields.size("num_attention_heads"),
            query_rank=fields.count("q_lora_rank", 0),
            kv_rank=fields.size("kv_lora_rank"),
            nope=fields.size("qk_nope_head_dim"),
            rope=fields.size("qk_rope_head_dim"),
            value=fields.size("v_head_dim"),
            index_heads=fields.size("index_n_heads", 64) if sparse else 0,
            index_dim=fields.size("index_head_dim", 128) if sparse else 0,
            bias=fields.flag("attention_bias"),
        )

    def cache(self) -> LatentAttention:
        """Return what a layer keeps."""
        return LatentAttention(latent_dim=self.kv_rank + self.rope, index_dim=self.index_dim)

    def parts(self, scope: str) -> Parts:
        """Return the projections of one layer."""
        compressed = self.kv_rank + self.rope
        return (
            *self._queries(scope),
            *linear(
                f"{scope}.kv_a_proj_with_mqa",
                WeightUse.REPLICATED,
                self.hidden,
                compressed,
                bias=self.bias,
            ),
            *norm(f"{scope}.kv_a_layernorm", self.kv_rank),
            *linear(f"{scope}.{KV_UP}", WeightUse.ATTENTION, self.kv_rank, self.heads * (self.nope + self.value)),
            *linear(f"{scope}.o_proj", WeightUse.ATTENTION, self.heads * self.value, self.hidden, bias=self.bias),
            *(self._index(f"{scope}.indexer") if self.index_dim else ()),
        )

    def _queries(self, scope: str) -> Parts:
        width = self.heads * (self.nope + self.rope)
        if not self.query_rank:
            return linear(f"{scope}.q_proj", WeightUse.ATTENTION, self.hidden, width)
        return (
            *linear(f"{scope}.q_a_proj", WeightUse.REPLICATED, self.hidden, self.query_rank, bias=self.bias),
            *norm(f"{scope}.q_a_layernorm", self.query_rank),
            *linear(f"{scope}.q_b_proj", WeightUse.ATTENTION, self.query_rank, width),
        )

    def _index(self, scope: str) -> Parts:
        queries = self.query_rank or self.hidden
        return (
            *linear(f"{scope}.wq_b", WeightUse.REPLICATED, queries, self.index_heads * self.index_dim),
            *linear(f"{scope}.wk", WeightUse.REPLICATED, self.hidden, self.index_dim),
            *norm(f"{scope}.k_norm", self.index_dim, bias=True),
            *linear(f"{scope}.weights_proj", WeightUse.REPLICATED, self.hidden, self.index_heads),
        )
