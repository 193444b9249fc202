"""Settings of sign-in: what they come to, and what is said of those that will not do."""

from __future__ import annotations

import json

import pytest

from syncline.auth.authorizer_kinds import asking
from syncline.config import load
from syncline.errors import StartRefused
from syncline.sign_in import OidcIssuer, wrong_url

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 # nobody's


def test_one_issuer_needs_its_name_and_an_audience() -> None:
    settings = load({"oidc_issuer": "https://issuer.example/", "oidc_audience": "api other"})

    (issuer,) = settings.issuers
    assert (issuer.issuer, issuer.audience) == ("https://issuer.example/", ("api", "other"))
    assert (issuer.audience_claim, issuer.identity_claim, issuer.device_claim) == ("aud", "sub", "did")
    assert load().issuers == ()


def test_several_issuers_are_a_list_of_objects() -> None:
    cognito = "https://cognito-idp.eu-west-1.amazonaws.com/pool"
    entries = [
        {"issuer": cognito, "audience": "app", "required": {"token_use": "id"}},
        {"issuer": cognito, "audience": "app", "audienceClaim": "client_id", "required": {"token_use": "access"}},
        {"issuer": "http://127.0.0.1:9000", "audience": ["a", "b"], "jwksUrl": "http://[::1]/keys"},
    ]

    found = load({"oidc": json.dumps(entries), "oidc_issuer": "https://one.example", "oidc_audience": "api"}).issuers

    assert [each.issuer for each in found] == ["https://one.example", cognito, cognito, "http://127.0.0.1:9000"]
    assert found[2].audience_claim == "client_id"
    assert found[3].audience == ("a", "b")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"oidc_issuer": "http://x.example", "oidc_audience": "x"},
            "oidc_issuer = 'http://x.example' (from --oidc-issuer)",
        ),
        ({"oidc_issuer": "https://x.example"}, "oidc_issuer and oidc_audience go together"),
        ({"oidc_audience": "x"}, "oidc_issuer and oidc_audience go together"),
        ({"oidc": "[{]"}, "setting oidc = '[{]' (from --oidc): is not JSON"),
        ({"oidc": "[" * 100_000}, "is not JSON"),
        ({"oidc": "[]"}, "names no issuer"),
        ({"oidc": "[7]"}, "entry 0 is no object"),
        ({"oidc": '[{"issuer": "https://x"}]'}, "entry 0: audience is missing"),
        ({"oidc": '[{"issuer": "https://x", "audience": "a", "aud": "b"}]'}, "entry 0: aud is no setting of an issuer"),
        ({"oidc": '{"issuer": "https://x", "audience": []}'}, "entry 0: audience"),
        ({"oidc": '{"issuer": "https://x", "audience": "a", "refreshSeconds": 1}'}, "entry 0: refreshSeconds must be"),
        (
            {"oidc": '{"issuer": "https://x", "audience": "a", "jwksUrl": "ftp://x"}'},
            "entry 0: jwksUrl must be an https",
        ),
        (
            {
                "oidc": '[{"issuer": "https://x", "audience": "a"}, '
                '{"issuer": "https://x", "audience": "b", "jwksUrl": "https://y"}]'
            },
            "the entries of issuer https://x have different jwksUrl",
        ),
        ({"shared_secrets": f"{SECRET} short"}, "secret 2 has 5 bytes and needs at least 32"),
        ({"shared_secrets": " "}, "has no secret"),
        ({"shared_issuer": "x"}, "are of no use without shared_secrets"),
    ],
)
def test_a_setting_that_will_not_do_is_refused_with_the_reason(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(StartRefused) as refusal:
        load(settings)

    assert reason in refusal.value.message
    assert "short" not in refusal.value.message
    assert SECRET not in refusal.value.message


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere:function", "authorizer: 'nowhere:function' cannot be imported: ModuleNotFoundError"),
        ("json:nothing", "authorizer: 'json:nothing' cannot be imported: AttributeError"),
        ("json:loads", "authorizer: 'json:loads' is no async function"),
        ("nonsense", "authorizer: 'nonsense' is neither module:function nor a URL"),
        ("http://hook.example", "authorizer: 'http://hook.example' must be https://"),
    ],
)
def test_an_authorizer_that_will_not_do_is_refused_with_the_reason(target: str, reason: str) -> None:
    with pytest.raises(StartRefused, match=reason):
        asking(target, 1)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://issuer.example/realms/x", True),
        ("http://localhost:8080/realms/x", True),
        ("http://127.0.0.1:1", True),
        ("http://[::1]/x", True),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.evil.example", False),
        ("https://user:password@issuer.example", False),
        ("https://issuer.example/#x", False),
        ("https://", False),
        ("https://[::1", False),
        ("https://x:99999999", False),
        ("file:///etc/passwd", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_keys_are_fetched_by_https_or_from_this_machine(url: str, good: bool) -> None:
    assert (wrong_url(url) is None) is good


def test_an_issuer_shows_no_surprise() -> None:
    assert OidcIssuer.model_validate({"issuer": "https://x", "audience": ["a"]}).refresh_seconds == 600
