"""What a run ends with if something is not as it was promised."""

from __future__ import annotations

from typing import NoReturn


class Violation(Exception):
    """A promise was broken: ``promise`` says which, the facts how."""

    def __init__(self, promise: str, *facts: object) -> None:
        super().__init__(promise, *facts)
        self.promise = promise
        self.facts = facts

    def __str__(self) -> str:
        return f"not so: {self.promise}: {' '.join(map(str, self.facts))}"


def violated(promise: str, *facts: object) -> NoReturn:
    raise Violation(promise, *facts)


def check(promise: str, kept: bool, *facts: object) -> None:
    if not kept:
        violated(promise, *facts)
