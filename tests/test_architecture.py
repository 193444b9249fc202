"""Imports point one way, the core is pure, and only ``config`` reads the environment: proved on the syntax trees."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import syncline

PACKAGE = Path(syncline.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "addresses": set(),
    "core": {"errors"},
    "ports": {"core", "errors"},
    "topics": {"core", "ports"},
    "logs": {"errors"},
    "metrics": {"errors", "logs"},
    "collector": set(),
    "sign_in": {"addresses"},
    "config": {"addresses", "core", "errors", "ports", "sign_in"},
    "service": {"core", "errors", "ports", "topics", "logs", "metrics"},
    "storage": {"core", "errors", "ports", "logs", "metrics"},
    "bus": {"core", "errors", "ports", "logs", "metrics"},
    "auth": {"addresses", "core", "errors", "ports", "logs", "sign_in"},
    "api": {"service", "core", "errors", "ports", "topics", "logs"},
    "web": {"addresses", "api", "service", "core", "errors", "ports", "topics", "logs", "metrics", "config"},
    "client": {"core", "errors"},
}
"""For each layer the others that it may import. What is not named here wires or starts, and may import all."""

WIRING = {
    *(
        "app",
        "wiring",
        "sign_in_wiring",
        "start",
        "serving",
        "workers",
        "cli",
        "cli_credentials",
        "cli_privacy",
        "cli_reference",
        "cli_settings",
        "cli_storage",
        "commands",
        "__main__",
        "",
    ),
}
"""``commands`` are the device's own commands of the command line, which live beside the client."""
COMMAND_MODULES = {"client.commands", "client.command_options"}

PURE = {
    *("__future__", "base64", "binascii", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib"),
    *("itertools", "math", "msgspec", "re", "struct", "typing", "zlib"),
}
"""All that the core may import from elsewhere: nothing of it waits, tells the time, rolls dice, logs or does I/O."""
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}
IMPURE_METHODS = {"now", "utcnow", "today"}


def modules(package: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every module by its name within the package, with its syntax tree."""
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package).with_suffix("").parts)
        yield name.removesuffix("__init__").removesuffix("."), ast.parse(path.read_text(), str(path))


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of what is imported anywhere in the module, in functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def ours(tree: ast.Module, known: set[str]) -> set[str]:
    """The modules of this package that the module imports."""
    names = {name.removeprefix("syncline.") for name in imported(tree) if name.startswith("syncline.")}
    return names & known


def layer(module: str) -> str:
    return "commands" if module in COMMAND_MODULES else module.partition(".")[0]


def violations(package: Path) -> list[str]:
    """Each import against the direction, as a sentence."""
    trees = dict(modules(package))
    found = []
    for module, tree in trees.items():
        mine = layer(module)
        if mine not in WIRING and mine not in MAY_IMPORT:
            found.append(f"{module} belongs to no known layer")
            continue
        found.extend(f"{module} imports relatively" for name in imported(tree) if name.startswith("."))
        others = {layer(name) for name in ours(tree, set(trees))} - {mine}
        forbidden = set() if mine in WIRING else others - MAY_IMPORT[mine]
        found.extend(f"{module} imports {other}" for other in sorted(forbidden))
    return found


def importers_of_adapters(package: Path) -> set[str]:
    """The modules outside the adapters that import one."""
    adapters = {"storage", "bus", "auth"}
    trees = dict(modules(package))
    return {
        module
        for module, tree in trees.items()
        if layer(module) not in adapters and adapters & {layer(name) for name in ours(tree, set(trees))}
    }


def impurities(package: Path) -> list[str]:
    """Each thing in the core that is not a function of its arguments, as a sentence."""
    found = []
    for module, tree in modules(package):
        if layer(module) != "core":
            continue
        for name in imported(tree):
            root = name.partition(".")[0]
            if root != "syncline" and root not in PURE:
                found.append(f"{module} imports {root}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith):
                found.append(f"{module} waits in line {node.lineno}")
            elif isinstance(node, ast.Global | ast.Nonlocal):
                found.append(f"{module} keeps state in line {node.lineno}")
            elif isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Name) and called.id in IMPURE_CALLS:
                    found.append(f"{module} calls {called.id}")
                if isinstance(called, ast.Attribute) and called.attr in IMPURE_METHODS:
                    found.append(f"{module} calls {called.attr}")
    return found


def readers_of_the_environment(package: Path) -> set[str]:
    """The modules that touch ``os.environ`` or ``os.getenv``, by whatever name."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    return {
        module
        for module, tree in modules(package)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names})
    }


def cycle(package: Path) -> list[str]:
    """Modules that import each other in a circle, if there are any."""
    trees = dict(modules(package))
    graph = {module: ours(tree, set(trees)) - {module, ""} for module, tree in trees.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_point_one_way() -> None:
    assert violations(PACKAGE) == []


def test_only_what_wires_and_the_command_line_import_adapters() -> None:
    # The command line mints tokens: ``token`` itself, and the device's commands with a data folder at hand. And it has
    # what an operator does to the data.
    assert importers_of_adapters(PACKAGE) <= {
        *("app", "start", "sign_in_wiring", "cli", "cli_credentials", "cli_privacy", "cli_settings", "cli_storage"),
        "client.command_options",
    }


def test_the_core_has_no_await_clock_randomness_logging_or_io() -> None:
    assert impurities(PACKAGE) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert cycle(PACKAGE) == []


def test_only_config_reads_the_environment() -> None:
    assert readers_of_the_environment(PACKAGE) == {"config"}


def test_every_layer_is_there() -> None:
    assert {layer(name) for name, _ in modules(PACKAGE)} >= set(MAY_IMPORT)


# --- the proofs themselves: each must notice what it is for -----------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to plant a fault in."""
    ignored = shutil.ignore_patterns("__pycache__", "static")
    return Path(shutil.copytree(PACKAGE, tmp_path / "syncline", ignore=ignored))


def plant(package: Path, module: str, line: str) -> None:
    path = package / f"{module.replace('.', '/')}.py"
    path.write_text(path.read_text() + f"\n\n{line}\n" if path.exists() else f"{line}\n")


@pytest.mark.parametrize(
    ("module", "line", "sentence"),
    [
        ("core.commit", "from syncline import ports", "core.commit imports ports"),
        ("core.commit", "import syncline.storage.planted", "core.commit imports storage"),
        ("core.commit", "from . import model", "core.commit imports relatively"),
        ("errors", "from syncline.core import ids", "errors imports core"),
        ("service.sync", "from syncline.storage import planted", "service.sync imports storage"),
        ("service.sync", "def late():\n    import syncline.bus.local", "service.sync imports bus"),
        ("service.sync", "from syncline.api import schema", "service.sync imports api"),
        ("service.sync", "from syncline.config import load", "service.sync imports config"),
        ("storage.planted", "from syncline.service import sync", "storage.planted imports service"),
        ("storage.planted", "from syncline.bus.local import LocalBus", "storage.planted imports bus"),
        ("bus.local", "from syncline.auth import planted", "bus.local imports auth"),
        ("auth.planted", "from syncline.web import planted", "auth.planted imports web"),
        ("api.schema", "from syncline.web import planted", "api.schema imports web"),
        ("api.schema", "from syncline.storage import planted", "api.schema imports storage"),
        ("web.planted", "from syncline.storage.planted import x", "web.planted imports storage"),
        ("client.planted", "from syncline.service import sync", "client.planted imports service"),
        ("client.planted", "from syncline.client import commands", "client.planted imports commands"),
        ("extras", "", "extras belongs to no known layer"),
    ],
)
def test_an_import_against_the_direction_is_noticed(copy: Path, module: str, line: str, sentence: str) -> None:
    plant(copy, "storage.planted", "")
    plant(copy, "auth.planted", "")
    plant(copy, "web.planted", "")
    plant(copy, module, line)
    assert sentence in violations(copy)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("import time", "core.limits imports time"),
        ("from random import random", "core.limits imports random"),
        ("import uuid", "core.limits imports uuid"),
        ("import secrets", "core.limits imports secrets"),
        ("from os import urandom", "core.limits imports os"),
        ("import logging", "core.limits imports logging"),
        ("import structlog", "core.limits imports structlog"),
        ("import socket", "core.limits imports socket"),
        ("def f():\n    return open('x')", "core.limits calls open"),
        ("from datetime import datetime\nNOW = datetime.now()", "core.limits calls now"),
    ],
)
def test_an_impurity_of_the_core_is_noticed(copy: Path, line: str, sentence: str) -> None:
    plant(copy, "core.limits", line)
    assert sentence in impurities(copy)


def test_waiting_in_the_core_is_noticed(copy: Path) -> None:
    plant(copy, "core.limits", "async def f(x):\n    await x")
    assert [sentence.partition(" in ")[0] for sentence in impurities(copy)] == ["core.limits waits"] * 2


def test_a_cycle_is_noticed(copy: Path) -> None:
    plant(copy, "core.ids", "def late():\n    from syncline.core.commit import decide")
    assert {"core.ids", "core.commit"} <= set(cycle(copy))


@pytest.mark.parametrize("line", ["import os\nos.environ['X']", "from os import getenv", "import os\nos.getenv('X')"])
def test_another_reader_of_the_environment_is_noticed(copy: Path, line: str) -> None:
    plant(copy, "service.sync", line)
    assert readers_of_the_environment(copy) == {"config", "service.sync"}
