from tests.fakes.configs import cache_counts, public_shape, shape_of

FALCON = {
    "model_type": "falcon",
    "hidden_size": 8192,
    "num_attention_heads": 128,
    "num_hidden_layers": 60,
    "vocab_size": 65_024,
    "num_kv_heads": 8,
    "new_decoder_architecture": True,
    "parallel_attn": True,
    "bias": False,
}


def test_falcon_has_one_head_of_keys_or_groups_of_them_in_the_newer_arrangement():
    assert cache_counts(public_shape("falcon-7b")) == {"full 1 64 64": 32}
    assert cache_counts(shape_of(FALCON)) == {"full 8 64 64": 60}
    assert shape_of(FALCON).parameters == 41_303_293_952


def test_starcoder_has_one_head_of_keys():
    config = {
        "model_type": "gpt_bigcode",
        "n_embd": 6144,
        "n_head": 48,
        "n_layer": 40,
        "n_positions": 8192,
        "n_inner": 24_576,
        "vocab_size": 49_152,
        "multi_query": True,
    }
    shape = shape_of(config)
    assert shape.parameters == 15_517_456_384
    assert cache_counts(shape) == {"full 1 128 128": 40}
    assert shape.max_length == 8192


def test_opt_may_have_an_embedding_narrower_than_its_layers():
    config = {
        "model_type": "opt",
        "hidden_size": 1024,
        "ffn_dim": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "max_position_embeddings": 2048,
        "vocab_size": 50_272,
        "word_embed_proj_dim": 512,
        "do_layer_norm_before": False,
    }
    assert shape_of(config).parameters == 331_196_416
