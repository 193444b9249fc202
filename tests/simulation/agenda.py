"""What people and fate do in the rough part of a run, and when."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tests.simulation.device import Device
from tests.simulation.node import Node
from tests.simulation.world import World

Act = Callable[[], object]
Start = Callable[[Coroutine[Any, Any, None]], object]
Agenda = list[tuple[float, Act]]

_LONGEST_SECONDS = 9.0


def agenda(world: World, devices: list[Device], start: Start) -> Agenda:
    """In the order of time; the last entry is the end."""
    dice = world.dice
    end = dice.choice([2.0, 5.0, _LONGEST_SECONDS])
    plan: Agenda = []

    def at(act: Act, after: float = 0.0) -> float:
        moment = after + dice.random() * (end - after)
        plan.append((moment, act))
        return moment

    for device in devices:
        for _ in range(dice.randint(3, 8)):
            at(partial(device.edit, dice.choice(list(device.replicas))))
        for _ in range(dice.choice([0, 0, 1, 2])):
            at(device.disconnect)
        for _ in range(dice.choice([0, 0, 0, 1, 2])):
            at(device.go_online, after=at(device.go_offline))
        if dice.random() < 0.2:
            at(partial(_begin, start, device.asking.create, dice.choice(list(device.replicas))))
    for _ in range(dice.choice([0, 0, 0, 1, 1, 2])):
        device = dice.choice(devices)
        at(partial(_begin, start, device.asking.delete, dice.choice(list(device.replicas))))
    for _ in range(dice.choice([0, 0, 1, 2, 3])):
        at(dice.choice(world.nodes).crash)
    for _ in range(dice.choice([0, 0, 1, 2, 4])):
        at(partial(_forget, world, dice.choice(world.nodes)))
    if dice.random() < 0.3:
        at(partial(_bus_comes_back, world), after=at(partial(_bus_goes_down, world)))
    plan.sort(key=lambda entry: entry[0])
    return [*plan, (end, lambda: None)]


def _begin(start: Start, work: Callable[..., Coroutine[Any, Any, None]], *about: object) -> None:
    start(work(*about))


def _bus_goes_down(world: World) -> None:
    world.trace.add("bus goes down")
    world.bus_down = True


def _bus_comes_back(world: World) -> None:
    world.trace.add("bus comes back")
    world.bus_down = False
    for node in world.nodes:
        if node.now is not None:
            node.now.spawn(node.now.sweep())


def _forget(world: World, node: Node) -> None:
    if node.now is not None:
        world.trace.add("forgets removals", node.name)
        node.now.spawn(node.now.prune())
