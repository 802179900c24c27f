import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.errors import InputError
from tuner.models.fields import Fields


def fields(raw: dict[str, object], **defaults: object) -> Fields:
    return Fields(raw, where="config.json", defaults=defaults)


def test_one_figure_goes_by_many_names():
    assert fields({"n_layer": 12}).size("num_hidden_layers") == 12
    assert fields({"multi_query_group_num": 2}).size("num_key_value_heads") == 2


def test_a_name_with_null_gives_way_to_one_with_a_value():
    assert fields({"num_hidden_layers": None, "n_layer": 12}).size("num_hidden_layers") == 12


def test_a_given_null_is_not_what_the_family_assumes():
    assert fields({"sliding_window": None}, sliding_window=4096).count("sliding_window", 0) == 0
    assert fields({}, sliding_window=4096).count("sliding_window", 0) == 4096


def test_a_whole_float_is_a_whole_number():
    assert fields({"hidden_size": 64.0}).size("hidden_size") == 64


@pytest.mark.parametrize("value", [0, -1, 1.5, "64", True, [], {}, float("inf"), float("nan")])
def test_anything_else_is_refused_with_file_and_key(value: object):
    with pytest.raises(InputError, match=r"^config.json: hidden_size is .*, not a whole number"):
        fields({"hidden_size": value}).size("hidden_size")


def test_the_language_part_of_a_multimodal_configuration_is_found():
    whole = fields(
        {"model_type": "llava", "dtype": "float16", "text_config": {"model_type": "llama", "hidden_size": 8}}
    )
    part = whole.language()
    assert (part.text("model_type"), part.size("hidden_size"), part.text("dtype")) == ("llama", 8, "float16")
    assert part.where == "config.json, text_config"
    assert part.nested


def test_a_part_in_a_part_is_found():
    whole = fields({"thinker_config": {"text_config": {"hidden_size": 8}}})
    assert whole.language().size("hidden_size") == 8


def test_an_assumption_does_not_outlive_a_replacement():
    assert fields({}, sliding_window=4096).replacing({"sliding_window": 8}).size("sliding_window") == 8


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
READERS = ("size", "count", "flag", "text", "part", "parts", "items", "integers", "strings")


@given(JSON, st.sampled_from(READERS))
def test_whatever_stands_there_is_read_or_refused_in_words(value: object, reader: str):
    read = getattr(fields({"key": value}), reader)
    try:
        read("key")
    except InputError as error:
        assert "key" in error.what  # noqa: PT017  # either outcome is right
