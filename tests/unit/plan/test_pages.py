import pytest

from tests.fakes.shapes import cpu, make_device, make_model, state
from tuner.domain.errors import InputError
from tuner.domain.model import LatentAttention, ModelShape
from tuner.domain.plan import Deployment
from tuner.plan.defaults import resolve
from tuner.plan.pages import KV_CACHE_DTYPES, Kind, check_dtype, layer_pages


def test_a_dtype_of_unknown_size_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="fp88") as caught:
        check_dtype("fp88")
    assert "fp8" in caught.value.advice


LATENT = make_model((LatentAttention(latent_dim=576),) * 32)
OF_LATENTS = {"fp8_ds_mla", "nvfp4_ds_mla"}
OF_HEADS = {"int8_per_token_head", "fp8_per_token_head", "int4_per_token_head", "nvfp4", "nvfp4_4over6"}


@pytest.mark.parametrize("model", [make_model(), LATENT], ids=["heads", "latent"])
@pytest.mark.parametrize("dtype", KV_CACHE_DTYPES)
def test_every_known_dtype_has_a_size_or_is_refused_for_this_attention(model: ModelShape, dtype: str):
    engine = resolve(model, make_device(), Deployment(kv_cache_dtype=dtype))
    if dtype in (OF_HEADS if model is LATENT else OF_LATENTS):
        with pytest.raises(InputError, match="its size is not known for"):
            layer_pages(model, engine)
    else:
        pages = layer_pages(model, engine)
        assert [index for index, _ in pages] == list(range(32))
        assert all(page.bytes > 0 for _, page in pages)


def test_a_cpu_keeps_recurrent_states_in_float32():
    model = make_model((state(conv=100, recurrent=1000),))
    sizes = [layer_pages(model, resolve(model, device, Deployment()))[0][1].bytes for device in (make_device(), cpu())]
    assert sizes == [2200, 4200]


def test_a_recurrent_state_may_have_an_element_size_of_its_own():
    model = make_model((state(conv=100, recurrent=1000, state_bytes=4),))
    ((_, page),) = layer_pages(model, resolve(model, make_device(), Deployment()))
    assert page.kind is Kind.STATE
    assert page.bytes == 100 * 2 + 1000 * 4
