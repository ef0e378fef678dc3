"""Who may ask: the page that this server sent, in a browser of somebody who may use it, and no other site.

A page of another site can make a browser send requests here. It cannot set our header without asking first, which is
never granted; its `Origin` is another one; and a name that it points to this machine (DNS rebinding) is not known
here.
"""

import hmac
import ipaddress
import json
import re
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OUR_HEADER = "x-unipan"
"""On every request that changes something."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_SESSION = re.compile(r"[A-Za-z0-9_-]{24}")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Lets requests through that may pass, tells each session from the others, and adds the headers of safety.

    The session of a request is `scope["unipan.session"]`.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None = None) -> None:
        """Guard an app.

        Args:
            app: what answers.
            host: that the server is bound to.
            token: to be given once, as /?token=...; None asks nobody.
        """
        self.app, self.host, self.token = app, host, token
        self._local = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        port = scope["server"][1] if scope.get("server") else 0
        jar = _cookies(headers.get("cookie", ""))
        refusal = self._refusal(scope["method"], scope["path"], headers)
        if refusal is None and self.token is not None:
            given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
            if scope["path"] == "/" and given:
                await self._let_in(given, port, send)
                return
            if not _same(jar.get(f"unipan_token_{port}", ""), self.token):
                refusal = 401, "open the address that `unipan serve` has printed, with its token"
        if refusal is not None:
            await _answer(send, refusal[0], refusal[1])
            return
        # Cookies do not know ports, so the name does.
        session = jar.get(name := f"unipan_session_{port}", "")
        fresh = not _SESSION.fullmatch(session)
        scope["unipan.session"] = session = secrets.token_urlsafe(18) if fresh else session

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for key, value in HEADERS.items():
                    sent.setdefault(key, value)
                if fresh:
                    sent.append("set-cookie", _cookie(name, session))
            await send(message)

        await self.app(scope, receive, send_guarded)

    def _refusal(self, method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        """Status and sentence for what may not pass."""
        host = headers.get("host", "")
        if not self._is_our_name(host):
            return 421, f"this server is not {host[:80]!r}; open the address that `unipan serve` has printed"
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host:
            return 403, "another site asked for this"
        opened = path == "/" and headers.get("sec-fetch-mode") == "navigate"  # by a link, somewhere
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opened:
            return 403, "another site asked for this"
        if method not in ("GET", "HEAD") and OUR_HEADER not in headers:
            return 403, f"requests that change something have the header {OUR_HEADER}"
        return None

    def _is_our_name(self, given: str) -> bool:
        """Whether a Host header can be ours: a rebound name is never a number."""
        try:
            name = urlsplit(f"//{given}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self.host.lower()):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._local

    async def _let_in(self, given: str, port: int, send: Send) -> None:
        if not _same(given, self.token or ""):
            await _answer(send, 401, "this is not the token that `unipan serve` has printed")
            return
        # The token leaves the address bar.
        more = {"location": "/", "set-cookie": _cookie(f"unipan_token_{port}", given)}
        await _answer(send, 303, "", more)


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # http://[
        return None


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _cookie(name: str, value: str) -> str:
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict"


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: each.value for name, each in SimpleCookie(header).items()}
    except CookieError:
        return {}


async def _answer(send: Send, status: int, sentence: str, more: Mapping[str, Any] | None = None) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = {**HEADERS, "content-type": "application/json", "content-length": str(len(body)), **(more or {})}
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
