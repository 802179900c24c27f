"""Text from outside made inert: nothing in it can steer a terminal, reverse a line or pretend to be another one. Pure.

Logs, servers' answers, model repositories and result files of strangers hold what their authors like: ANSI and OSC
sequences, carriage returns, bidirectional overrides, zero-width characters. Letters of any script stay as they are.
"""

_PICTURES = 0x2400
"""Where Unicode has a picture for each of the first 32 control characters."""
_DELETE = "\x7f"


def inert(text: str, *, lines: bool = False) -> str:
    """Return the text, one visible character for each of its own: of one line, or of the `lines` it has.

    White space becomes a blank, a control character its picture (`␛`), and what else can't be seen `�`.
    """
    if (text.replace("\n", "") if lines else text).isprintable():
        return text
    return "".join(each if lines and each == "\n" else _shown(each) for each in text)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    if character < " ":
        return chr(_PICTURES + ord(character))
    return "\u2421" if character == _DELETE else "\ufffd"
