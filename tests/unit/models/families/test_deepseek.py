from tests.fakes.configs import cache_counts, public_shape
from tuner.domain.model import LatentAttention, WeightUse


def test_a_latent_layer_keeps_one_vector_for_each_token():
    assert public_shape("deepseek-v2-lite").layers == (LatentAttention(latent_dim=512 + 64),) * 27
    assert cache_counts(public_shape("deepseek-v3")) == {"latent 576": 61}


def test_a_sparse_index_keeps_a_key_beside_it():
    assert public_shape("deepseek-v3.2").layers == (LatentAttention(latent_dim=576, index_dim=128),) * 61


def test_down_projections_are_copied_to_each_gpu_and_up_projections_split():
    found = {group.use: group.parameters for group in public_shape("deepseek-v2-lite").weights}
    layers, hidden = 27, 2048
    down = hidden * 576 + 512
    assert found[WeightUse.REPLICATED] == layers * (down + 2 * hidden) + 26 * 64 * hidden + hidden
    assert found[WeightUse.ATTENTION] == layers * (hidden * 16 * 192 + 512 * 16 * 256 + 16 * 128 * hidden)


def test_the_first_layers_are_dense():
    found = {group.use: group.parameters for group in public_shape("deepseek-v3").weights}
    assert found[WeightUse.EXPERTS] == 58 * 256 * 3 * 7168 * 2048
    assert found[WeightUse.MLP] == 3 * 3 * 7168 * 18_432 + 58 * 3 * 7168 * 2048
