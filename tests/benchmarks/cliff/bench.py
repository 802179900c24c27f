"""How many launches a cliff costs, and whether the best configuration beside it is still found: three ways, a table."""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from tests.benchmarks.cliff.cliffs import KINDS
from tests.benchmarks.cliff.night import Night, Way, night

_HEAD = """| cliff | way | failed launches | after the start | worst study | regret, mean | median | refused |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def main() -> None:
    """Run the studies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--launches", type=int, default=60)
    parser.add_argument("--only", choices=KINDS, help="one kind of cliff")
    parser.add_argument("--way", choices=[way.name.lower() for way in Way], help="one way")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    print(_HEAD, flush=True)
    with ProcessPoolExecutor(given.processes) as pool:
        for kind in [given.only] if given.only else KINDS:
            for way in [Way[given.way.upper()]] if given.way else Way:
                one = partial(night, kind, way, launches=given.launches)
                print(_row(kind, way, list(pool.map(one, range(given.first, given.first + given.seeds)))), flush=True)


def _row(kind: str, way: Way, nights: list[Night]) -> str:
    crashes, later, regret, refused = (np.array(column) for column in zip(*nights, strict=True))
    return (
        f"| {kind} | {way} | {crashes.mean():.1%} | {later.mean():.1%} | {crashes.max():.1%} "
        f"| {regret.mean():.3f} | {np.median(regret):.3f} | {refused.mean():.1f} |"
    )


if __name__ == "__main__":
    main()
