from __future__ import annotations

import httpx
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.support.server import RunningServer


async def test_graphiql_runs_an_example_with_the_token_already_set(visit: Visit) -> None:
    page = await visit.open("/graphiql")
    await expect(page.locator(".graphiql-query-editor")).to_contain_text("identityId")
    await page.get_by_role("button", name="Execute query").click()
    await expect(page.locator(".graphiql-response")).to_contain_text('"identityId": "dev"')
    assert visit.troubles == []


async def test_a_subscription_in_graphiql_shows_what_another_device_writes(visit: Visit, server: RunningServer) -> None:
    page = await visit.open("/graphiql")
    editor = page.locator(".graphiql-query-editor")
    # A click on a page that is not set up yet has no effect.
    await expect(editor).to_contain_text("identityId")
    await page.get_by_role("tab", name="IdentityChanges").click()
    await expect(editor).to_contain_text("identityChanges")
    await page.get_by_role("button", name="Execute query").click()
    answer = page.locator(".graphiql-response")
    await expect(answer).to_contain_text("Ready")
    async with httpx.AsyncClient() as client:
        given = {"dataset": {"name": "live"}, "mutationId": "1", "changes": [{"put": {"key": "k", "value": "seen"}}]}
        response = await client.post(
            server.url,
            headers={"authorization": f"Bearer {server.token('phone', 'dev')}"},
            json={
                "query": "mutation ($input: SyncInput!) { sync(input: $input) { __typename } }",
                "variables": {"input": given},
            },
        )
    assert response.json() == {"data": {"sync": {"__typename": "SyncApplied"}}}
    await expect(answer).to_contain_text('"seen"')
    assert visit.troubles == []


async def test_a_mutation_in_graphiql_is_there_for_a_device(visit: Visit) -> None:
    page = await visit.open("/graphiql?identity=ana")
    editor = page.locator(".graphiql-query-editor")
    await expect(editor).to_contain_text("identityId")
    await page.get_by_role("tab", name="Sync", exact=True).click()
    await expect(editor).to_contain_text("SyncInput!")
    await page.get_by_role("button", name="Execute query").click()
    await expect(page.locator(".graphiql-response")).to_contain_text('"SyncApplied"')
    assert visit.troubles == []
