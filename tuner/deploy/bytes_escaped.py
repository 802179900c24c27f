"""Characters that can't be seen, as the escapes that both a shell's `$'…'` and systemd's quotes know."""


def escaped(text: str) -> str:
    """Return the text, each character of it that can't be seen written as its bytes, in hexadecimal."""
    return "".join(character if character.isprintable() else _hexadecimal(character) for character in text)


def _hexadecimal(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
