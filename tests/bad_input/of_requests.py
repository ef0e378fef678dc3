"""What a browser, or whoever reaches the port, can send to `unipan serve`: every address with wrong bodies, names and
headers. An answer of 4xx with its sentence is a sentence; 5xx is a failure, but for too little memory."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import HUGE, NAMES, PICTURES, SPECIAL, in_place_of, on_file
from unipan.server.uploads import Limits

Send = Callable[[Any, str], Any]
"""From a browser and the key of an open scene to an answer."""
KEPT: dict[str, Any] = {}
BOX = {"box": [4, 4, 30, 30], "label": 0, "score": 1.0, "tint": 0}
LIMITS = Limits(megabytes=0.2, megapixels=0.1)


def keep_network(folder: Path) -> None:
    """Load it once, before the case's process is forked, and open the picture."""
    from tests.server.clients import studio
    from unipan.inference import Segmenter
    from unipan.panoptic.images import read_image
    from unipan.server.scenes import OpenScene

    if not KEPT:
        network = Segmenter.load(folder / "net.safetensors")
        scene = OpenScene(network.scene(read_image(folder / "photo.png")), "photo.png", None)
        KEPT.update(network=network, scene=scene, studio=studio(network, limits=LIMITS))


def begun(folder: Path) -> None:
    """`out`, a dataset of no image yet."""
    from unipan.server.annotations import Annotations

    keep_network(folder)
    Annotations(folder / "out", KEPT["network"].categories)


BASE = Case(
    "server", AS_IT_IS, uses=("net.safetensors", "photo.png", "photos"), change=keep_network, torch=True,
    names="the request|the picture|picture|edit: ", call=lambda folder: asked(maps_of({"boxes": [BOX]})),
)  # fmt: skip


def asked(send: Send, out: str | None = None, images: str | None = None) -> str:
    """The answer to a request from a browser that has a picture open; its sentence as a ValueError."""
    from tests.server.clients import client, studio
    from unipan.prediction.images import plan_images
    from unipan.server.annotations import Annotations

    network, made = KEPT["network"], KEPT["studio"]
    if out is not None or images is not None:
        annotations = None if out is None else Annotations(Path(out), network.categories)
        made = studio(network, [] if images is None else plan_images([Path(images)], None)[0], annotations, LIMITS)
    session = "s" * 24
    key = made.shelf.put(session, KEPT["scene"])
    browser = client(made)
    browser.cookies.set("unipan_session_8350", session)
    answer = send(browser, key)
    if answer.status_code < 400:
        return str(answer.status_code)
    told = answer.json()["error"] if answer.headers.get("content-type") == "application/json" else answer.text
    if answer.status_code >= 500 and answer.status_code != 507:
        raise RuntimeError(f"{answer.status_code}: {told}")
    raise ValueError(f"{answer.status_code}: {told}")


def maps_of(body: Any, what: str = "maps") -> Send:
    """A request for maps, of any JSON or of bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda browser, key: browser.post(f"/api/scenes/{key}/{what}", content=content)


def request(name: str, send: Send, names: str = BASE.names, **more: Any) -> Case:
    return replace(BASE, name=name, call=lambda folder: asked(send, **more), names=names)


def request_cases() -> Iterator[Case]:
    yield BASE
    yield from _uploads()
    yield from _edits()
    yield from _addresses()
    yield from _headers()
    yield from _datasets()


def _uploads() -> Iterator[Case]:
    def sent(data: bytes, **headers: str) -> Send:
        return lambda browser, key: browser.post("/api/scenes", content=data, headers=headers)

    def picture(damage: Callable[[bytes], bytes], name: str = "a.png") -> Send:
        def send(browser: Any, key: str) -> Any:  # in the folder of the case
            return sent(damage(Path("photo.png").read_bytes()), **{"x-name": name})(browser, key)

        return send

    for name in [*PICTURES][::6]:
        yield request(f"a picture: {name}", picture(PICTURES[name]), "a.png|the picture")
    for name, value in [*NAMES.items()][::2]:
        yield request(f"a picture called {name}", picture(bytes, quote(value, errors="surrogatepass")))
    for name, value in (
        ("nothing", ""),
        ("half an escape", "%e"),
        ("no UTF-8", "%ff%fe"),
        ("10^5 letters", "n" * 10**5),
    ):
        yield request(f"a picture called {name}", picture(bytes, value))
    yield request("no picture", sent(b""), "picture")
    yield request("a body beyond the limit", sent(bytes(300_000)), "MB")
    yield request("a body beyond the limit, in pieces", lambda browser, key: browser.post(
        "/api/scenes", content=(bytes(1000) for _ in range(400))), "MB")  # fmt: skip
    for length in ("0", "-1", "x", str(HUGE), "1e9", "٣"):
        name = f"a body whose length is said to be {length[:9]}"
        data = {"content-length": length.encode()}
        yield request(name, lambda browser, key, data=data: browser.post(
            "/api/scenes", content=Path("photo.png").read_bytes(), headers=data), "MB|picture")  # fmt: skip
    big = "a picture of more pixels than the limit"
    from PIL import Image

    from tests.bad_input.damage import saved

    yield request(big, picture(lambda data: saved(Image.new("1", (1000, 1000)), "PNG")), "pixels")


ODD_NUMBERS = (None, "x", True, [], {}, -1, 1.5, HUGE, -HUGE)
BOXES: dict[str, Any] = {
    **{f"boxes: {str(value)[:9]}": {"boxes": value} for value in (*ODD_NUMBERS, [None], ["x"], [[]], [3], [{}])},
    **{
        f"box: {str(value)[:24]}": {"boxes": [{**BOX, "box": value}]}
        for value in (
            None, "x", [], [1, 2, 3], [1, 2, 3, 4, 5], ["a", "b", "c", "d"], [None] * 4, [True] * 4, [[1, 2, 3, 4]],
            [30, 30, 4, 4], [4, 4, 4, 30], [-9, -9, -1, -1], [500, 500, 600, 600], [-HUGE, -HUGE, HUGE, HUGE],
            [1e308, 0, 1e308, 9], [0, 0, 1e-30, 1e-30], [-5, -5, 500, 500], {"x": 1},
        )
    },
    **{
        f"{field}: {str(value)[:9]}": {"boxes": [{**BOX, field: value}]}
        for field in ("label", "score", "tint")
        for value in (*ODD_NUMBERS[::2], 99, 2)
    },
    **{f"fusions: {str(value)[:12]}": {"boxes": [BOX], "fusions": value} for value in (
        None, "affinity", [None], [""], ["x"], [3], ["affinity"] * 999, ["\x1b[31m"], {"a": 1}, ["n" * 9999],
        ["affinity", "x"])},
    **{f"margin: {str(value)[:9]}": {"boxes": [BOX], "margin": value} for value in (None, "x", 1, [])},
    "no boxes": {"boxes": []},
    "a field more": {"boxes": [BOX], "colour": 1},
    "a field of a box more": {"boxes": [{**BOX, "colour": 1}]},
    "a field of a box less": {"boxes": [{"box": [1, 2, 3, 4]}]},
    "300 boxes": {"boxes": [BOX] * 300},
    "301 boxes": {"boxes": [BOX] * 301},
    "the same box twice": {"boxes": [BOX, BOX]},
}  # fmt: skip
RAW = {
    "nothing": b"",
    "no JSON": b"hello",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "cut": b'{"boxes": [',
    "no UTF-8": b'{"boxes": [], "\xff": 1}',
    "UTF-16": '{"boxes": []}'.encode("utf-16"),
    "a NUL": b'{"boxes": []}\0',
    "something behind": b'{"boxes": []} x',
    "deeply nested": b'{"boxes": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "300 kB": b'{"boxes": []' + b" " * 300_000 + b"}",
    "a key twice": b'{"boxes": 3, "boxes": []}',
    "NaN": b'{"boxes": [{"box": [NaN, 1, 9, 9], "label": 0, "score": 1}]}',
    "1e999": b'{"boxes": [{"box": [0, 0, 1e999, 9], "label": 0, "score": 1}]}',
    "a score of NaN": b'{"boxes": [{"box": [0, 0, 9, 9], "label": 0, "score": NaN}]}',
    "5000 digits": b'{"boxes": [{"box": [0, 0, ' + b"9" * 5000 + b', 9], "label": 0, "score": 1}]}',
}


def _edits() -> Iterator[Case]:
    bodies: dict[str, Any] = {**BOXES, **RAW}
    for name, body in bodies.items():
        yield request(f"maps: {name}", maps_of(body), "the request|a request|edit: |fusion")
    for what in ("accept", "download"):
        for name in [*bodies][::12]:
            names = "the request|a request|edit: |fusion"
            case = request(f"{what}: {name}", maps_of(bodies[name], what), names)
            if what == "accept":
                call = maps_of(bodies[name], what)
                case = replace(case, change=begun, makes=("out",), call=lambda _, call=call: asked(call, out="out"))
            yield case
    for query in ("", "x=1", "x=&y=", "x=-1&y=0", "x=1.5&y=0", "x=nan&y=0", "x=1e3&y=0", "x=96&y=0", "x=0&y=64",
                  "x=9999999&y=0", "x=99999999999&y=0", "x=%D9%A3&y=0", "x=1&x=2&y=3", "x=%00&y=0"):  # fmt: skip
        yield request(
            f"affinity: {query}", lambda browser, key, query=query: browser.get(f"/api/scenes/{key}/affinity?{query}"),
            "pixel",
        )  # fmt: skip


def _addresses() -> Iterator[Case]:
    other = {"cookie": "unipan_session_8350=" + "t" * 24}
    let_go, missing = "this image was let go", "404|405|images|Not Found|digits"
    for key in ("x", "..", "%2e%2e", "n" * 5000, "%00", "%ff", "💥"):
        for what, verb in (("image", "get"), ("maps", "post"))[len(key) % 2 :]:
            yield request(
                f"a scene that is not: {key[:9]}/{what}",
                lambda browser, _, key=key, what=what, verb=verb: getattr(browser, verb)(f"/api/scenes/{key}/{what}"),
                f"{let_go}|{missing}",
            )
    for what in ("image", "affinity?x=1&y=1"):
        yield request(
            f"another session's scene: {what[:8]}",
            lambda browser, key, what=what: (browser.cookies.clear(), browser.get(f"/api/scenes/{key}/{what}",
                                                                                headers=other))[1],
            let_go,
        )  # fmt: skip
    yield request("a scene that was closed", lambda browser, key: (
        browser.delete(f"/api/scenes/{key}"), browser.get(f"/api/scenes/{key}/image"))[1], let_go)  # fmt: skip
    for path in (
        "/api/images/0", "/api/images/99", "/api/images/-1", f"/api/images/{HUGE}", "/api/images/x", "/api/images/1.5",
        f"/api/images/{'9' * 5000}", f"/api/samples/{HUGE}", f"/api/samples/{'9' * 5000}", "/api/samples/-1",
        "/api/nothing", "/api", "//",
        "/page/../../../etc/hostname", "/page/%2e%2e/%2e%2e/etc/hostname", "/page/..%2f..%2fetc%2fhostname", "/page/",
        "/photo.png", "/net.safetensors", "/page/%00", "/etc/hostname",
    ):  # fmt: skip
        verb = "post" if path.startswith("/api/images") or path.startswith("/api/samples") else "get"
        yield request(
            f"{verb} {path[:40]}", lambda browser, key, path=path, verb=verb: getattr(browser, verb)(path), missing
        )
    for method in ("PUT", "PATCH", "TRACE", "OPTIONS", "HEAD", "NOTHING"):
        yield request(f"{method} /", lambda browser, key, method=method: browser.request(method, "/"), "405")


def _headers() -> Iterator[Case]:
    refused = "this server is not|another site|requests that change"
    for header, values in {
        "host": ("", "example.org", "localhost.example.org", "[::1", "127.0.0.1.nip.example", "a" * 9999, "\x01", "@"),
        "origin": ("null", "http://example.org", "http://[", "x", ""),
        "sec-fetch-site": ("cross-site", "same-site", "x"),
        "cookie": ("=", ";;;;", "a=b; a=c", 'unipan_session_8350="', "x" * 9999, "unipan_session_8350=../../etc"),
        "x-unipan": ("", "x" * 9999),
        "accept-encoding": ("gzip, gzip", "x", "\x7f"),
        "content-type": ("text/html", "multipart/form-data; boundary=" + "x" * 999),
    }.items():
        for value in values:
            yield request(
                f"{header}: {value[:24]!r}",
                lambda browser, key, header=header, value=value: browser.post(
                    f"/api/scenes/{key}/maps", json={"boxes": [BOX]}, headers={header: value}
                ),
                f"{refused}|this image was let go",
            )


def _datasets() -> Iterator[Case]:
    """Of the folder of photographs, and accepted images."""
    opens: Send = lambda browser, key: browser.post("/api/images/0")  # noqa: E731
    for name in [*PICTURES][1::15]:
        yield replace(
            request(f"an image of the folder: {name}", opens, "0.png|the picture", images="photos"),
            change=lambda folder, name=name: [
                keep_network(folder), on_file("photos/0.png", PICTURES[name])(folder)
            ],
        )  # fmt: skip
    for what in SPECIAL[::2]:

        def exchanged(browser: Any, key: str, what: str = what) -> Any:
            in_place_of("photos/0.png", what)(Path())
            return browser.post("/api/images/0")

        case = request(f"an image of the folder, exchanged: {what}", exchanged, "0.png|picture", images="photos")
        yield replace(case, makes=("photos/0.png",))
    accept = maps_of({"boxes": [BOX]}, "accept")
    yield replace(request("accept: as it is", accept, out="out"), makes=("out",), change=begun)
    yield request("accept: without --out", accept, "--out")

    def vanished(browser: Any, key: str) -> Any:
        import shutil

        shutil.rmtree("out")
        Path("out").write_text("a file")
        return accept(browser, key)

    yield replace(
        request("accept: the folder is a file by now", vanished, "out", out="out"), makes=("out",), change=begun
    )

    def read_only(browser: Any, key: str) -> Any:
        for path in ("out/images", "out/panoptic", "out/boxes", "out"):
            Path(path).chmod(0o555)
        return accept(browser, key)

    yield replace(request("accept: not ours to write", read_only, "out", out="out"), change=begun, mortal=True)
