import pytest

from tuner.plan.words import billions, gib, seconds, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (gib(85 * 2**30), "85.0 GiB"),
        (gib(300 * 2**20), "300 MiB"),
        (gib(-3 * 2**30), "-3.0 GiB"),
        (billions(8_030_261_248), "8.03 billion"),
        (billions(160e6), "160 million"),
        (seconds(0.0071), "7.1 ms"),
        (seconds(0.126), "126 ms"),
        (seconds(1.24), "1.2 s"),
        (seconds(787.0), "787 s"),
        (tokens(550.0), "550"),
        (tokens(1023.5), "1,023.5"),
    ],
)
def test_figures_read_well(text: str, expected: str):
    assert text == expected
