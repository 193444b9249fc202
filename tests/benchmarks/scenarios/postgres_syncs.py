"""What a durable sync costs on PostgreSQL, and what the Redis hop adds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tests.benchmarks.baselines.notes import POSTGRES_TABLES
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.scale_out import DATABASE_URL, REDIS_URL, postgres, valkey
from tests.benchmarks.scenarios.durable_syncs import Load, Outcome, write
from tests.benchmarks.wire.writers import Transport
from tests.benchmarks.workbench import Workbench


class PostgresSyncs:
    """See the module."""

    name = "postgres-syncs"
    title = "Durable syncs on PostgreSQL: one put of a small note each, over HTTP, acknowledged when it is committed"
    columns = (
        Column(name="syncs/s", compared=True),
        Column(name="CPU µs/sync", compared=True),
        Column(name="ack p50 ms", decimals=2),
        Column(name="ack p99 ms", decimals=2, compared=True),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        loads = (
            [Load(transport=Transport.HTTP, writers=3, one_dataset=False, warm_up_seconds=0.05, seconds=0.2)]
            if quick
            else [Load(transport=Transport.HTTP, writers=writers, one_dataset=False) for writers in (1, 16, 64)]
        )
        kinds = ((False, Contender.SYNCLINE), (False, Contender.POSTGRES_CACHED_STRAWBERRY), (True, Contender.SYNCLINE))
        return [
            Case(
                load=f"{load.name}{', with Redis' if redis else ''}",
                contender=contender,
                measure=partial(_measure, load=load, contender=contender, redis=redis),
            )
            for load in loads
            for redis, contender in kinds
        ]


def _measure(bench: Workbench, *, load: Load, contender: Contender, redis: bool) -> Sample:
    with postgres(bench) as server:
        url = server.url(server.create_database())
        if contender is not Contender.SYNCLINE:
            server.execute(POSTGRES_TABLES, url.rpartition("/")[2])
            with bench.server(load.devices, contender=contender, postgres=url) as target:
                return _sample(bench.generate(write, (target, load)))
        settings = {DATABASE_URL: url}
        if not redis:
            with bench.server(load.devices, settings=settings) as target:
                return _sample(bench.generate(write, (target, load)))
        with valkey(bench) as bus, bench.server(load.devices, settings={**settings, REDIS_URL: bus}) as target:
            return _sample(bench.generate(write, (target, load)))


def _sample(outcome: Outcome) -> Sample:
    syncs, used = len(outcome.seconds), outcome.used
    return Sample(
        figures={
            "syncs/s": syncs / used.wall_seconds,
            "CPU µs/sync": used.server_seconds / syncs * 1e6,
            "ack p50 ms": percentile(outcome.seconds, 0.50) * 1e3,
            "ack p99 ms": percentile(outcome.seconds, 0.99) * 1e3,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )
