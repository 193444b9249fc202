"""Which login is which identity: what every store must do."""

from __future__ import annotations

import asyncio

import pytest

from syncline.core.ids import IdentityId, Tenant
from syncline.core.model import DatasetRef
from syncline.errors import LoginInUse
from syncline.ports import CompleteStore, LinkedLogin
from tests.support.builders import ALICE, NOW, put
from tests.support.logins import a_login
from tests.support.stores import StoreFactory, create, write

FIRST, SECOND = IdentityId("id-1"), IdentityId("id-2")


async def test_a_login_is_the_identity_that_it_was_first(store: CompleteStore) -> None:
    identities = store.identities

    assert await identities.login(a_login()) is None
    assert await identities.identity_of(a_login(), new_identity=FIRST, now=NOW) == FIRST
    assert await identities.identity_of(a_login(), new_identity=SECOND, now=NOW) == FIRST
    assert await identities.logins(FIRST) == [LinkedLogin(login=a_login(), identity=FIRST, created_at=NOW)]


async def test_issuer_subject_and_tenant_make_a_login(store: CompleteStore) -> None:
    others = [
        a_login(),
        a_login("adb"),
        a_login(issuer="https://other.example"),
        a_login(tenant=Tenant("acme")),
        a_login("a", issuer="https://issuer.example/ad"),
    ]

    found = [
        await store.identities.identity_of(login, new_identity=IdentityId(f"id-{number}"), now=NOW)
        for number, login in enumerate(others)
    ]

    assert len(set(found)) == len(others)


async def test_nodes_that_see_a_login_at_once_get_one_identity(store_factory: StoreFactory) -> None:
    store = await store_factory()
    for round_ in range(20):
        login = a_login(f"ada {round_}")
        found = await asyncio.gather(
            *(
                store.identities.identity_of(login, new_identity=IdentityId(f"id-{round_}-{number}"), now=NOW)
                for number in range(8)
            )
        )
        assert len(set(found)) == 1
        assert (await store.identities.login(login)) == LinkedLogin(login=login, identity=found[0], created_at=NOW)
    await store.close()


async def test_several_logins_may_be_one_identity(store: CompleteStore) -> None:
    identities = store.identities
    await identities.identity_of(a_login(), new_identity=FIRST, now=NOW)
    await identities.identity_of(a_login("bob"), new_identity=SECOND, now=NOW)

    assert await identities.link(a_login("new"), FIRST, now=NOW) is True
    assert await identities.link(a_login("bob"), FIRST, now=NOW) is True
    assert await identities.link(a_login("bob"), FIRST, now=NOW) is False

    assert await identities.identity_of(a_login("bob"), new_identity=SECOND, now=NOW) == FIRST
    assert {each.login.subject for each in await identities.logins(FIRST)} == {"ada", "bob", "new"}
    assert await identities.logins(SECOND) == []


async def test_a_login_whose_identity_has_data_stays_what_it_is(store: CompleteStore) -> None:
    await store.identities.link(a_login(), ALICE.identity, now=NOW)
    await write(store, put("a"))

    with pytest.raises(LoginInUse):
        await store.identities.link(a_login(), FIRST, now=NOW)

    assert await store.identities.identity_of(a_login(), new_identity=SECOND, now=NOW) == ALICE.identity


async def test_a_login_whose_identity_has_deleted_all_it_had_can_be_linked(store: CompleteStore) -> None:
    await store.identities.link(a_login(), ALICE.identity, now=NOW)
    head = await create(store)
    await store.delete_dataset(ALICE, DatasetRef(id=head.id), now=NOW)

    assert await store.identities.link(a_login(), FIRST, now=NOW) is True


async def test_a_login_that_is_forgotten_is_a_new_identity(store: CompleteStore) -> None:
    await store.identities.identity_of(a_login(), new_identity=FIRST, now=NOW)

    assert await store.identities.unlink(a_login()) is True
    assert await store.identities.unlink(a_login()) is False
    assert await store.identities.identity_of(a_login(), new_identity=SECOND, now=NOW) == SECOND


async def test_a_login_that_nobody_can_have_is_not_known(store: CompleteStore) -> None:
    assert await store.identities.login(a_login("a\x00b")) is None
    assert await store.identities.unlink(a_login("a\x00b")) is False


async def test_what_was_told_is_still_there_after_a_restart(store_factory: StoreFactory) -> None:
    store = await store_factory()
    await store.identities.identity_of(a_login(), new_identity=FIRST, now=NOW)
    await store.close()

    again = await store_factory()

    assert await again.identities.identity_of(a_login(), new_identity=SECOND, now=NOW) == FIRST
    await again.close()
