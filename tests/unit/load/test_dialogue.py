"""What a conversation has said so far."""

import json

import numpy as np

from tuner.load.dialogue import ChatDialogue, TokenDialogue, answer_text, answer_tokens
from tuner.load.prompts import Source
from tuner.load.sessions import Call

SOURCE = Source(first_token=100, vocabulary=200, words=False)


def body(*choices: object) -> bytes:
    chunks = [{"choices": [choice]} for choice in choices] + [{"choices": [], "usage": {"completion_tokens": 2}}]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def test_a_turn_sends_all_that_was_said_the_answers_as_the_server_gave_them():
    dialogue = TokenDialogue(SOURCE, np.random.default_rng(0))
    assert dialogue.ask(Call((3, 4), 2, prefix=(1, 2))) == (1, 2, 3, 4)
    dialogue.hear(body({"text": "a", "token_ids": [7]}, {"text": "b", "token_ids": [8]}), 2)
    assert dialogue.ask(Call((5,), 2)) == (1, 2, 3, 4, 7, 8, 5)


def test_where_the_server_tells_no_ids_as_many_others_stand_in():
    dialogue = TokenDialogue(SOURCE, np.random.default_rng(0))
    dialogue.ask(Call((3,), 2))
    dialogue.hear(body({"text": "a", "token_ids": None}), 5)
    said = dialogue.ask(Call((4,), 2))
    assert len(said) == 1 + 5 + 1
    assert all(100 <= int(token) < 200 for token in said[1:-1])


def test_messages_alternate_after_what_the_system_says():
    dialogue = ChatDialogue()
    dialogue.ask(Call("Hello", 2, prefix="Be brief"))
    dialogue.hear(body({"delta": {"role": "assistant", "content": ""}}, {"delta": {"content": "Hi"}}), 1)
    said = dialogue.ask(Call("Why", 2))
    assert [(message["role"], message["content"]) for message in said] == [
        ("system", "Be brief"),
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "Why"),
    ]


def test_an_answer_is_read_from_either_endpoint():
    assert answer_text(body({"text": "a"}, {"text": "b"})) == "ab"
    assert answer_text(body({"delta": {"content": "é"}}, {"delta": {}})) == "é"
    assert answer_tokens(body({"text": "a"})) == []
