"""A model hub on this machine, as far as loading a model needs one: HTTP as huggingface.co answers it."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
Found = tuple[int, bytes, dict[str, str]]
"""Status, content and headers of an answer."""


@contextlib.contextmanager
def hub(models: Mapping[str, Path], gated: frozenset[str] = frozenset()) -> Iterator[str]:
    """The address of a hub, for the environment variable HF_ENDPOINT.

    Args:
        models: folder of each model, by its name ("owner/model").
        gated: names of models whose files nobody gets who has not accepted their terms.
    """

    def find(path: str) -> Found:
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if name in gated:
            return 403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": f"Access to model {name} is restricted."}
        if name not in models:
            return 404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        return _describe(name, models[name], parts[4:]) if parts[0] == "api" else _file(models[name] / "/".join(parts[4:]))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            status, content, headers = find(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _describe(name: str, folder: Path, parts: Sequence[str]) -> Found:
    if parts[:1] == ["tree"]:  # folders inside a model, of which none has any
        return 404, b"{}", {"X-Error-Code": "EntryNotFound"}
    files = [{"rfilename": path.name} for path in sorted(folder.iterdir())]
    return 200, json.dumps({"id": name, "sha": COMMIT, "siblings": files}).encode(), {}


def _file(path: Path) -> Found:
    if not path.is_file():
        return 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
    content = path.read_bytes()
    return 200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
