"""A small Hugging Face Hub on this machine: what huggingface_hub asks when it downloads, looks up and commits."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_these_tests"


@dataclass
class FakeRepository:
    """Files by name; `sha` changes with each commit."""

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False
    commits: int = 0

    @property
    def sha(self) -> str:
        return hashlib.sha1(f"{self.commits}".encode()).hexdigest()


@dataclass
class FakeHub:
    """Repositories by owner/name, and each request as `METHOD /path`."""

    repositories: dict[str, FakeRepository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, content: Any = None, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def may_write(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.answer(403, {"error": "You have read access only"})
        return False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        parts = parts[2:] if api else parts
        name, rest = "/".join(parts[:2]), parts[2:]
        found = self.hub.repositories.get(name)
        if name == "owner/broken":
            self.answer(503, {"error": "maintenance"})
        elif name == "owner/gated":
            self.answer(403, {}, X_Error_Code="GatedRepo")
        elif found is None:
            self.answer(404, {}, X_Error_Code="RepoNotFound")
        elif len(rest) > 1 and rest[1] not in ("main", found.sha):
            self.answer(404, {}, X_Error_Code="RevisionNotFound")
        elif api and rest[:1] == ["tree"]:
            listed = [
                {"type": "file", "path": each, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for each, data in found.files.items()
            ]
            self.answer(200, listed)
        elif api:
            siblings = [{"rfilename": each} for each in found.files]
            facts = {"_id": "1", "id": name, "modelId": name, "sha": found.sha, "private": found.private}
            self.answer(200, facts | {"siblings": siblings, "tags": []})
        elif rest[:1] == ["resolve"] and (data := found.files.get("/".join(rest[2:]))) is not None:
            self.answer(200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=found.sha)
        else:
            self.answer(404, {}, X_Error_Code="EntryNotFound")

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        data = self.body()
        if path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif not self.may_write():
            return
        elif path == "/api/repos/create":
            told = json.loads(data)
            name = f"{told['organization']}/{told['name']}"
            if name in self.hub.repositories:
                self.answer(409, {"error": "it exists", "url": f"{self.hub.address}/{name}"})
                return
            private = told.get("visibility") == "private" or bool(told.get("private"))
            self.hub.repositories[name] = FakeRepository({".gitattributes": b""}, private)
            self.answer(200, {"url": f"{self.hub.address}/{name}"})
        elif "/preupload/" in path:
            names = [each["path"] for each in json.loads(data)["files"]]
            modes = [{"path": each, "uploadMode": "regular", "shouldIgnore": False} for each in names]
            self.answer(200, {"files": modes})
        else:
            name = "/".join(path.split("/")[3:5])
            self.commit(name, self.hub.repositories[name], data)

    def commit(self, name: str, found: FakeRepository, data: bytes) -> None:
        for line in data.splitlines():
            told = json.loads(line)
            value = told["value"]
            if told["key"] == "header":
                assert value["parentCommit"] == found.sha
            elif told["key"] == "file":
                found.files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert told["key"] == "deletedFile"
                del found.files[value["path"]]
        found.commits += 1
        self.answer(200, {"commitUrl": f"{self.hub.address}/{name}/commit/{found.sha}", "commitOid": found.sha})


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
