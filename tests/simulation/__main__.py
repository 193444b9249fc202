"""``python -m tests.simulation SEED``: one run again, with its whole trace."""

from __future__ import annotations

import sys

from tests.simulation.run import simulate


def main() -> int:
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print("usage: python -m tests.simulation SEED", file=sys.stderr)  # noqa: T201
        return 2
    result = simulate(int(sys.argv[1]))
    print(*result.trace.lines(), sep="\n")  # noqa: T201
    outcome = "all as promised" if result.violation is None else str(result.violation)
    print(f"seed {result.seed}: {outcome}; trace {result.trace.digest()}")  # noqa: T201
    return 0 if result.violation is None else 1


sys.exit(main())
