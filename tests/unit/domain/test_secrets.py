import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.secrets import SHORTEST, blanked, holds_password, is_secret_name, secret_values, without_secrets

SECRETS = st.text('abcXYZ019-_/+ü"\\%', min_size=SHORTEST, max_size=20)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
)


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "PGPASSWORD",
     "MYSQL_PWD_PASSWD", "SMTP_PASS", "SSH_PASSPHRASE", "wandb_apikey", "MY_PRIVATE_KEY", "GH_TOKEN_2"],
)  # fmt: skip
def test_secrets_are_known_by_their_names(name: str):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["PATH", "HF_HOME", "HF_TOKEN_PATH", "TOKENIZERS_PARALLELISM", "MAX_OUTPUT_TOKENS", "GOOGLE_CREDENTIALS_FILE",
     "VLLM_USE_V1", "KEYBOARD", "MAX_TOKENS_PER_STEP"],
)  # fmt: skip
def test_what_only_sounds_like_a_secret_is_none(name: str):
    assert not is_secret_name(name)


def test_secrets_are_known_by_their_place_in_a_url_in_either_spelling():
    env = {
        "https_proxy": "http://me:pass-word@proxy:1", "TUNER_DB": "postgresql://me:p%40ss-word@host/db",
        "PIP_INDEX_URL": "https://ghp_0123456789@host/simple", "DSN": "postgresql://only_a_user@host/db",
    }  # fmt: skip

    found = set(secret_values(env, ["--db=postgresql://me:from-the-line@host/db"]))

    assert {"pass-word", "p%40ss-word", "p@ss-word", "ghp_0123456789", "from-the-line"} <= found
    assert not found & {"only_a_user", "me", "proxy"}


def test_a_short_value_is_no_secret_and_the_longest_comes_first():
    env = {"A_TOKEN": "abc", "B_TOKEN": "0123456789", "C_TOKEN": "0123456789ab"}

    assert secret_values(env) == ("0123456789ab", "0123456789")


@pytest.mark.parametrize("text", ["http://127.0.0.1:8000/v1", "sqlite:///a@b.db", "postgresql://user@host/db", "a:b@c"])
def test_no_password_is_seen_where_none_is(text: str):
    assert not holds_password(text)


@given(SECRETS, st.lists(st.text(), max_size=4))
def test_a_secret_is_nowhere_in_blanked_text_however_it_is_spelled(secret: str, parts: list[str]):
    secrets = secret_values({"HF_TOKEN": secret})
    for spelling in (secret, quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]):
        text = spelling.join(["", *parts, ""])

        assert spelling not in blanked(text, secrets)
        assert len(blanked(text, secrets)) == len(text)


@given(SECRETS, st.text("xyz "), st.integers(SHORTEST, 19))
def test_the_beginning_of_a_secret_that_the_texts_end_cut_off_is_blanked(secret: str, before: str, kept: int):
    cut = secret[:kept]

    assert cut not in blanked(before + cut, [secret])


@given(SECRETS.filter(lambda secret: "*" not in secret), ANY_JSON)
def test_a_json_value_keeps_its_shape_and_loses_its_secrets(secret: str, value: object):
    text = json.dumps({"keys": {secret: [value, f"says {secret}"]}, "plain": value}, ensure_ascii=False)

    found = without_secrets(json.loads(text), secret_values({"HF_TOKEN": secret}))

    assert secret not in json.loads(json.dumps(found))["keys"]
    assert found["keys"][next(iter(found["keys"]))][1] == f"says {'*' * len(secret)}"
