"""A small OpenID Connect provider: real documents, signed by real keys, served by a real HTTP server on loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "https://sync.example.org"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"

_RSA_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Always the same one for a name: making one takes a while."""
    if name not in _RSA_KEYS:
        _RSA_KEYS[name] = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    return _RSA_KEYS[name]


class Provider:
    """Its ``keys`` are by name; it shows the ``published`` ones. What it answers otherwise, by path: ``answers``."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.keys: dict[str, Any] = {
            "rsa-1": rsa_key("rsa-1"),
            "ec-1": ec.generate_private_key(ec.SECP256R1()),
            "ec-384": ec.generate_private_key(ec.SECP384R1()),
            "ec-521": ec.generate_private_key(ec.SECP521R1()),
            "ed-1": ed25519.Ed25519PrivateKey.generate(),
        }
        self.published = list(self.keys)
        self.extra: list[dict[str, Any]] = []
        """Keys to show as they are."""
        self.answers: dict[str, Callable[[], tuple[int, bytes]]] = {}
        self.requests: list[str] = []
        self.hold = threading.Event()
        """As long as it is not set, nothing is answered."""
        self.hold.set()

    def jwk(self, name: str) -> dict[str, Any]:
        public = self.keys[name].public_key()
        kind: Any = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}[name.split("-")[0]]
        shown: dict[str, Any] = jwt.get_algorithm_by_name(kind).to_jwk(public, as_dict=True)
        shown.pop("key_ops", None)
        return {**shown, "kid": name, "use": "sig"}

    def claims(self, subject: str = "ada", **more: Any) -> dict[str, Any]:
        """Good ones; ``...`` leaves one out."""
        now = int(datetime.now(UTC).timestamp())
        claims = {"iss": self.issuer, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + 600, **more}
        return {name: value for name, value in claims.items() if value is not ...}

    def token(
        self,
        subject: str = "ada",
        *,
        key: str = "rsa-1",
        algorithm: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token that this provider signs."""
        default = {"rsa-1": "RS256", "ec-384": "ES384", "ec-521": "ES512"}
        usual = default.get(key) or {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}[key.split("-")[0]]
        return jwt.encode(
            self.claims(subject, **claims),
            self.keys[key],
            algorithm=algorithm or usual,
            headers={"kid": key, **(header or {})},
        )

    def document(self, path: str) -> tuple[int, bytes]:
        self.requests.append(path)
        self.hold.wait(30)
        if path in self.answers:
            return self.answers[path]()
        if path == DISCOVERY:
            return 200, json.dumps({"issuer": self.issuer, "jwks_uri": self.issuer + JWKS}).encode()
        if path == JWKS:
            return 200, json.dumps({"keys": [*map(self.jwk, self.published), *self.extra]}).encode()
        return 404, b"{}"


@contextmanager
def provider(port: int = 0) -> Iterator[Provider]:
    """A provider that answers until the end."""
    made: list[Provider] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = made[0].document(self.path)
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                if 300 <= status < 400:
                    self.send_header("location", made[0].issuer + "/elsewhere")
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                # The other side has had enough.
                return

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made.append(Provider(server.server_port))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made[0]
    finally:
        made[0].hold.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def segment(data: bytes | object) -> str:
    """A part of a JWT: bytes as they are, all else as JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
