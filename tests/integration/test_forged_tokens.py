"""Forged and broken tokens, each by HTTP and WebSocket, against a server that trusts an issuer, a shared secret and API
keys: none is accepted, and none is a fault of the server's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.oidc_provider import AUDIENCE, Provider, provider, rsa_key, segment
from tests.support.server import RunningServer, running_server

OWN = "the-server's-own-secret-0123456789abcdef"
SHARED = "a-shared-secret-of-32-bytes-or-so-0123456789"
QUERY = "{ viewer { identityId } }"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Provider]:
    with provider() as each:
        yield each


@pytest.fixture(scope="module")
def server(issuer: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = {
        "SYNCLINE_OIDC_ISSUER": issuer.issuer,
        "SYNCLINE_OIDC_AUDIENCE": AUDIENCE,
        "SYNCLINE_TOKEN_SECRET": OWN,
        "SYNCLINE_SHARED_SECRETS": SHARED,
        "SYNCLINE_SHARED_ISSUER": "https://backend.example",
        "SYNCLINE_SHARED_AUDIENCE": "sync",
    }
    with running_server(tmp_path_factory.mktemp("forged"), settings=settings) as each:
        yield each


Forge = Callable[[Provider], str]


def hs(claims: Any, secret: bytes, header: Any = None) -> str:
    """Signed as it is written here, with no library's scruples."""
    body = f"{segment({'alg': 'HS256', **(header or {})})}.{segment(claims)}"
    return f"{body}.{segment(hmac.digest(secret, body.encode(), hashlib.sha256))}"


def unsigned(header: Any, claims: Any, signature: bytes = b"x") -> str:
    return f"{segment(header)}.{segment(claims)}.{segment(signature)}"


def public_pem(issuer: Provider, key: str = "rsa-1") -> bytes:
    found: bytes = issuer.keys[key].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found


def public_der(issuer: Provider) -> bytes:
    found: bytes = issuer.keys["rsa-1"].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def raw_modulus(issuer: Provider) -> bytes:
    return base64.urlsafe_b64decode(issuer.jwk("rsa-1")["n"] + "==")


def with_header(issuer: Provider, **header: Any) -> str:
    """A good token but for its header."""
    return issuer.token(header=header)


def evil(issuer: Provider, **header: Any) -> str:
    """Signed by a key of the attacker's own, which the header tries to bring along."""
    key = rsa_key("evil")
    return jwt.encode(issuer.claims(), key, "RS256", headers={"kid": "rsa-1", **header})


def evil_jwk() -> dict[str, Any]:
    found: dict[str, Any] = jwt.get_algorithm_by_name("RS256").to_jwk(rsa_key("evil").public_key(), as_dict=True)
    return found


def tampered(issuer: Provider) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{segment(issuer.claims('mallory'))}.{signature}"


def spliced(issuer: Provider) -> str:
    one, other = issuer.token("ada").split("."), issuer.token("bob", key="ec-1").split(".")
    return f"{one[0]}.{other[1]}.{one[2]}"


def psychic(size: int) -> Forge:
    return lambda issuer: unsigned({"alg": "ES256", "kid": "ec-1"}, issuer.claims(), b"\0" * size)


def psychic_order(issuer: Provider) -> str:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return unsigned({"alg": "ES256", "kid": "ec-1"}, issuer.claims(), order.to_bytes(32, "big") * 2)


def now() -> int:
    return int(datetime.now(UTC).timestamp())


FORGED: dict[str, Forge] = {
    # No signature, or none that counts.
    "alg none": lambda i: unsigned({"alg": "none"}, i.claims(), b""),
    "alg none with a signature": lambda i: unsigned({"alg": "none", "kid": "rsa-1"}, i.claims()),
    "alg None": lambda i: unsigned({"alg": "None", "kid": "rsa-1"}, i.claims()),
    "alg nOnE": lambda i: unsigned({"alg": "nOnE"}, i.claims()),
    "alg empty": lambda i: unsigned({"alg": ""}, i.claims()),
    "alg missing": lambda i: unsigned({"kid": "rsa-1"}, i.claims()),
    "alg null": lambda i: unsigned({"alg": None}, i.claims()),
    "alg a list": lambda i: unsigned({"alg": ["RS256", "none"]}, i.claims()),
    "alg an object": lambda i: unsigned({"alg": {"RS256": True}}, i.claims()),
    "alg unknown": lambda i: unsigned({"alg": "RS1", "kid": "rsa-1"}, i.claims()),
    "alg lower case": lambda i: unsigned({"alg": "rs256", "kid": "rsa-1"}, i.claims()),
    "signature stripped": lambda i: i.token().rpartition(".")[0] + ".",
    "signature cut": lambda i: i.token()[:-20],
    "signature of zeros": lambda i: unsigned({"alg": "RS256", "kid": "rsa-1"}, i.claims(), b"\0" * 256),
    "claims changed": tampered,
    "parts of two tokens": spliced,
    # A public key taken for a secret.
    "RS to HS with the PEM": lambda i: hs(i.claims(), public_pem(i), {"kid": "rsa-1"}),
    "RS to HS with the PEM, stripped": lambda i: hs(i.claims(), public_pem(i).strip(), {"kid": "rsa-1"}),
    "RS to HS with the DER": lambda i: hs(i.claims(), public_der(i)),
    "RS to HS with the modulus": lambda i: hs(i.claims(), raw_modulus(i)),
    "RS to HS with the JWK": lambda i: hs(i.claims(), json.dumps(i.jwk("rsa-1")).encode()),
    "ES to HS with the PEM": lambda i: hs(i.claims(), public_pem(i, "ec-1"), {"kid": "ec-1"}),
    "HS without issuer by the PEM": lambda i: hs({"sub": "ada", "exp": now() + 60}, public_pem(i)),
    "HS by the empty secret": lambda i: hs({"sub": "ada", "exp": now() + 60}, b""),
    "HS by a null": lambda i: hs({"sub": "ada", "exp": now() + 60}, b"\0"),
    "the issuer's token by the server's secret": lambda i: hs(i.claims(), OWN.encode()),
    "the issuer's name by the server's secret": lambda i: hs(i.claims(aud=...), OWN.encode()),
    "the issuer's token by the shared secret": lambda i: hs(i.claims(), SHARED.encode()),
    # A key of another kind, or another's.
    "a kid of another type": lambda i: i.token(header={"kid": "ec-1"}),
    "ES384 by a P-256 key": lambda i: unsigned({"alg": "ES384", "kid": "ec-1"}, i.claims(), b"\1" * 96),
    "EdDSA by an RSA key": lambda i: unsigned({"alg": "EdDSA", "kid": "rsa-1"}, i.claims(), b"\1" * 64),
    "psychic signature": psychic(64),
    "psychic signature, empty": psychic(0),
    "psychic signature, long": psychic(132),
    "psychic signature of the order": psychic_order,
    "the attacker's key": evil,
    "the attacker's key of another curve": lambda i: jwt.encode(
        i.claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "ec-1"}
    ),
    # Keys that come along.
    "jwk": lambda i: evil(i, jwk=evil_jwk()),
    "jwk without kid": lambda i: unsigned({"alg": "RS256", "jwk": evil_jwk()}, i.claims()),
    "jku": lambda i: evil(i, jku=f"{i.issuer}/evil"),
    "jku and a kid of its own": lambda i: evil(i, jku=f"{i.issuer}/evil", kid="evil"),
    "x5u": lambda i: evil(i, x5u=f"{i.issuer}/evil.pem"),
    "x5c": lambda i: evil(i, x5c=["MIIB"]),
    # Names of keys that are none.
    "kid a path": lambda i: evil(i, kid="../../../../dev/null"),
    "kid an absolute path": lambda i: hs(i.claims(), b"", {"kid": "/dev/null"}),
    "kid SQL": lambda i: evil(i, kid="x' UNION SELECT 'secret' --"),
    "kid a command": lambda i: evil(i, kid="rsa-1; rm -rf /"),
    "kid a URL": lambda i: evil(i, kid=f"{i.issuer}/evil"),
    "kid with NUL": lambda i: evil(i, kid="rsa-1\0"),
    "kid huge": lambda i: evil(i, kid="k" * 5_000),
    "kid a number": lambda i: unsigned({"alg": "RS256", "kid": 1}, i.claims()),
    "kid null": lambda i: unsigned({"alg": "RS256", "kid": None}, i.claims()),
    "kid empty": lambda i: evil(i, kid=""),
    # Signed by the issuer, and not for us.
    "wrong aud": lambda i: i.token(aud="https://other.example"),
    "aud missing": lambda i: i.token(aud=...),
    "aud empty": lambda i: i.token(aud=[]),
    "aud nested": lambda i: i.token(aud=[[AUDIENCE]]),
    "aud an object": lambda i: i.token(aud={AUDIENCE: True}),
    "aud a part of ours": lambda i: i.token(aud=AUDIENCE + "/"),
    "iss of somebody else": lambda i: i.token(iss="https://evil.example"),
    "iss with a slash": lambda i: i.token(iss=i.issuer + "/"),
    "iss missing": lambda i: i.token(iss=...),
    "typ of a logout token": lambda i: with_header(i, typ="logout+jwt"),
    "typ of a security event": lambda i: with_header(i, typ="secevent+jwt"),
    "typ a number": lambda i: unsigned({"alg": "RS256", "kid": "rsa-1", "typ": 1}, i.claims()),
    "crit": lambda i: with_header(i, crit=["exp"]),
    "crit of something new": lambda i: with_header(i, crit=["urn:new"], **{"urn:new": True}),
    "b64 false": lambda i: unsigned({"alg": "RS256", "kid": "rsa-1", "b64": False, "crit": ["b64"]}, i.claims()),
    # Not now.
    "expired": lambda i: i.token(exp=now() - 60),
    "nbf to come": lambda i: i.token(nbf=now() + 300),
    "iat to come": lambda i: i.token(iat=now() + 300),
    # Claims that are missing, or of another type.
    "exp missing": lambda i: i.token(exp=...),
    "exp null": lambda i: unsigned({"alg": "RS256", "kid": "rsa-1"}, i.claims(exp=None)),
    "exp a text": lambda i: jwt.api_jws.encode(
        json.dumps(i.claims(exp="never")).encode(), i.keys["rsa-1"], "RS256", headers={"kid": "rsa-1"}
    ),
    "exp infinite": lambda i: jwt.api_jws.encode(
        json.dumps(i.claims(exp=float("inf"))).encode(), i.keys["rsa-1"], "RS256", headers={"kid": "rsa-1"}
    ),
    "exp beyond all time": lambda i: i.token(exp=10**30),
    "iat missing": lambda i: i.token(iat=...),
    "sub missing": lambda i: i.token(sub=...),
    "sub empty": lambda i: i.token(sub=""),
    "sub a number": lambda i: jwt.api_jws.encode(
        json.dumps(i.claims(sub=7)).encode(), i.keys["rsa-1"], "RS256", headers={"kid": "rsa-1"}
    ),
    "sub with NUL": lambda i: i.token("ada\0bob"),
    "sub with the mark of tenants": lambda i: i.token("acme\x1fada"),
    "sub a lone surrogate": lambda i: i.token("\ud800"),
    "sub huge": lambda i: i.token("a" * 300),
    "did a number": lambda i: i.token(did=7),
    "did with NUL": lambda i: i.token(did="a\0b"),
    # No token at all.
    "huge": lambda i: i.token(padding="x" * 40_000),
    "deep": lambda i: f"{segment({'alg': 'RS256', 'kid': 'rsa-1'})}.{segment(b'[' * 9_000)}.AAAA",
    "claims a list": lambda i: unsigned({"alg": "RS256", "kid": "rsa-1"}, []),
    "claims no JSON": lambda i: unsigned({"alg": "RS256", "kid": "rsa-1"}, b"\xff\xfe"),
    "a JWE": lambda i: ".".join([segment({"alg": "RSA-OAEP", "enc": "A256GCM"}), "a", "b", "c", "d"]),
    "nonsense": lambda i: "nonsense",
    "an API key as a token": lambda i: "slk_0123456789abcdef_" + "A" * 43,
    # The shared secret, used wrongly.
    "shared without iss": lambda i: hs({"sub": "ada", "exp": now() + 60, "aud": "sync"}, SHARED.encode()),
    "shared for another audience": lambda i: hs(
        {"sub": "ada", "exp": now() + 60, "iss": "https://backend.example", "aud": "x"}, SHARED.encode()
    ),
    "shared, HS512": lambda i: jwt.encode(
        {"sub": "ada", "exp": now() + 60, "iss": "https://backend.example", "aud": "sync"}, SHARED * 2, "HS512"
    ),
}


def test_there_are_enough_of_them() -> None:
    assert len(FORGED) >= 60
    assert isinstance(rsa_key("evil"), rsa.RSAPrivateKey)


def test_none_is_accepted_by_http(server: RunningServer, issuer: Provider) -> None:
    wrong = []
    with httpx.Client(trust_env=False) as http:
        for name, forge in FORGED.items():
            headers = {"authorization": f"Bearer {forge(issuer)}"}
            answer = http.post(server.url, json={"query": QUERY}, headers=headers)
            codes = [error["extensions"]["code"] for error in answer.json().get("errors", [])]
            if answer.status_code != 401 or codes != ["UNAUTHENTICATED"] or answer.json().get("data"):
                wrong.append((name, answer.status_code, answer.text))
        good = http.post(server.url, json={"query": QUERY}, headers={"authorization": f"Bearer {issuer.token()}"})
    assert wrong == []
    assert good.status_code == 200
    assert good.json()["data"]["viewer"]["identityId"].startswith("id-")
    assert not any("Traceback" in line for line in server.output)


async def closed_with(server: RunningServer, token: str) -> int | None:
    """The code with which ``connection_init`` is answered; None: it was acknowledged."""
    subprotocols = [Subprotocol("graphql-transport-ws")]
    async with connect(server.socket_url, subprotocols=subprotocols, compression=None, proxy=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
        try:
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code
        return None


async def test_none_is_accepted_by_websocket(server: RunningServer, issuer: Provider) -> None:
    wrong = []
    for name, forge in FORGED.items():
        code = await closed_with(server, forge(issuer))
        if code not in (4401, 4403):
            wrong.append((name, code))
    assert wrong == []
    assert await closed_with(server, issuer.token()) is None


def test_good_tokens_of_all_kinds_are_accepted(server: RunningServer, issuer: Provider) -> None:
    shared = hs(
        {"sub": "ada", "exp": now() + 60, "iss": "https://backend.example", "aud": ["x", "sync"]}, SHARED.encode()
    )
    identities = []
    with httpx.Client(trust_env=False) as http:
        for token in (server.token("phone", "ada"), shared, issuer.token("ada"), issuer.token("ada", key="ed-1")):
            answer = http.post(server.url, json={"query": QUERY}, headers={"authorization": f"Bearer {token}"})
            identities.append(answer.json()["data"]["viewer"]["identityId"])
    assert identities[:2] == ["ada", "ada"]
    # The issuer's ada is somebody else, and always the same.
    assert identities[2] == identities[3] != "ada"
