"""A hub on loopback for huggingface_hub's own client: folders as repositories, and their faults."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_accepted"


@dataclass
class Hub:
    """What is served: repositories by name. `cut` breaks off the first answers for a file."""

    repositories: dict[str, Path]
    commit: str = COMMIT
    greeting: float = 0.0
    gated: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers with the headers huggingface_hub asks for."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def describe(self, name, tree, at):
        """What the hub's API says of a repository, or of the files below a folder of it."""
        folder = self.hub.repositories[name] / at
        files = sorted(p for p in folder.rglob("*") if p.is_file()) if not tree else []
        if tree:
            found = [p for p in sorted(folder.iterdir()) if p.is_file()] if folder.is_dir() else []
            return [
                {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": self.hub.commit}
                for p in found
            ]
        names = [{"rfilename": p.relative_to(folder).as_posix()} for p in files]
        return {"id": name, "sha": self.hub.commit, "siblings": names}

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, body):
        path = unquote(self.path.split("?")[0]).strip("/")
        time.sleep(0 if path else self.hub.greeting)
        api = path.startswith("api/models/")
        owner, model, *rest = (path.removeprefix("api/models/") + "/").split("/", 2)
        name, rest = f"{owner}/{model}", "".join(rest).strip("/")
        verb, _, rest = rest.partition("/")
        revision, _, file = rest.partition("/")
        if path and name not in self.hub.repositories:
            return self.refuse(404, "RepoNotFound")
        if revision not in ("", "main", self.hub.commit):
            return self.refuse(404, "RevisionNotFound")
        if not path or api:
            known = self.describe(name, verb == "tree", file) if path else {}
            return self.send(json.dumps(known).encode(), body)
        if name in self.hub.gated and self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.refuse(403, "GatedRepo")
        found = self.hub.repositories[name] / file
        if not found.is_file():
            return self.refuse(404, "EntryNotFound")
        if body:
            self.hub.asked.append((f"{name}/{file}", self.headers["Range"]))
        return self.send(found.read_bytes(), body, file)

    def send(self, data, body, file=""):
        """Answer with a file, the part of it that is asked for, or less than was promised."""
        etag = sha256(data).hexdigest()
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.end_headers()
        if file in self.hub.damaged:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if body and self.hub.cut.get(file, 0) > 0:
            self.hub.cut[file] -= 1
            self.wfile.write(data[start : start + (len(data) - start) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(data[start:])

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def log_message(self, *_):
        pass


def run(script, endpoint, home, **changes):
    """Run a script that sees only this hub; the words it printed."""
    hidden = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"}
    kept = {k: v for k, v in os.environ.items() if k not in hidden}
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env=kept | hub | changes,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()
