"""How the topics of the bus are spelled."""

from __future__ import annotations

from syncline.core.ids import DatasetId, IdentityId, Tenant
from syncline.ports import Topic


def dataset_topic(tenant: Tenant, dataset: DatasetId) -> Topic:
    """Rung for each commit of the dataset, when somebody's standing in it changes, and when it is deleted."""
    return Topic(f"dataset:{tenant}:{dataset}" if tenant else f"dataset:{dataset}")


def identity_topic(identity: IdentityId) -> Topic:
    """Rung when the datasets that the identity can see become more or fewer, or its role in one changes."""
    return Topic(f"identity:{identity}")


def presence_topic(tenant: Tenant, dataset: DatasetId) -> Topic:
    """Where nodes write to each other who is present on the dataset. No hints are published here."""
    return Topic(f"presence:{tenant}:{dataset}" if tenant else f"presence:{dataset}")
