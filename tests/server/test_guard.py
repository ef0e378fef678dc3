"""Other sites, rebound names and people without the token get nothing; every answer has the headers of safety."""

import re

import pytest

from tests.server.clients import OURS, client, png, studio
from unipan.inference import Segmenter
from unipan.server.guard import POLICY, is_loopback


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8350", 200),
        ("localhost:9999", 200),  # through a tunnel
        ("[::1]:8350", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8350", 421),
        ("192.168.1.9:8350", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_only_names_of_this_machine(maker: Segmenter, host: str, status: int) -> None:
    browser = client(studio(maker))
    assert browser.get("/", headers={"host": host}).status_code == status
    assert browser.post("/api/samples/0", headers={"host": host, **OURS}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # a form or a simple request of any site
        ({"x-unipan": "1", "origin": "http://127.0.0.1:8350"}, 200),
        ({"x-unipan": "1", "origin": "http://evil.example"}, 403),
        ({"x-unipan": "1", "origin": "http://127.0.0.1:8351"}, 403),
        ({"x-unipan": "1", "origin": "null"}, 403),
        ({"x-unipan": "1", "sec-fetch-site": "cross-site"}, 403),
        ({"x-unipan": "1", "sec-fetch-site": "same-site"}, 403),
        ({"x-unipan": "1", "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_other_sites_change_nothing(maker: Segmenter, headers: dict[str, str], status: int) -> None:
    made = studio(maker)
    browser = client(made, **{"user-agent": "test"})
    assert browser.post("/api/scenes", content=png(), headers=headers).status_code == status
    assert len(made.shelf) == (status == 200)


def test_other_sites_read_nothing_but_may_link_to_the_page(maker: Segmenter) -> None:
    browser = client(studio(maker))
    abroad = {"sec-fetch-site": "cross-site"}
    assert browser.get("/api/overview", headers=abroad).status_code == 403
    assert browser.get("/page/app.js", headers={**abroad, "sec-fetch-mode": "no-cors"}).status_code == 403
    assert browser.get("/", headers={**abroad, "sec-fetch-mode": "navigate"}).status_code == 200
    asked = browser.options("/api/scenes", headers={"origin": "http://evil.example"})
    assert asked.status_code == 403
    assert "access-control-allow-origin" not in asked.headers


def test_every_answer_has_the_headers(maker: Segmenter) -> None:
    browser = client(studio(maker))
    for path, headers in (("/", {}), ("/api/overview", {}), ("/none", {}), ("/", {"host": "evil"})):
        sent = browser.get(path, headers=headers).headers
        assert sent["content-security-policy"] == POLICY
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["cross-origin-resource-policy"] == "same-origin"
        assert sent["cache-control"] == "no-store"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_see(maker: Segmenter) -> None:
    browser = client(studio(maker))
    cookie = browser.get("/").headers["set-cookie"]
    assert re.fullmatch(r"unipan_session_8350=[\w-]{24}; Path=/; HttpOnly; SameSite=Strict", cookie)
    assert "set-cookie" not in browser.get("/").headers
    browser.cookies.clear()
    for bad in ("short", "x" * 5000, 'a"b', "../../../../../../../.."):
        answer = browser.get("/", headers={"cookie": f"unipan_session_8350={bad}"})
        assert answer.status_code == 200
        assert "set-cookie" in answer.headers


def test_beyond_this_machine_there_is_a_token(maker: Segmenter) -> None:
    browser = client(studio(maker), host="0.0.0.0", token="right")
    for path in ("/", "/api/overview", "/page/app.js", "/?token=wrong", "/api/overview?token=right"):
        assert browser.get(path).status_code == 401, path
    assert browser.post("/api/samples/0").status_code == 401
    answer = browser.get("/?token=right")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/").status_code == 200
    assert browser.get("/api/overview", headers={"host": "192.168.1.9:8350"}).status_code == 200
    assert browser.get("/api/overview", headers={"host": "evil.example"}).status_code == 421  # names can be rebound


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://127.0.0.1:1"])
def test_an_origin_that_is_no_address_is_another_site(maker: Segmenter, origin: str) -> None:
    assert client(studio(maker)).post("/api/samples/0", headers={"origin": origin}).status_code == 403


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.1", "example.org")] == [False] * 4
