"""An endpoint that speaks as OpenAI's does, on loopback, for the real client."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from probing_core.store import Store

SECRET = "sk-do-not-tell"


def completion(content, refusal=None):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """An endpoint that replies what a test queues: (status, body, headers) or seconds to wait."""
    replies, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((time.monotonic(), self.path, body))
            status, reply, headers = replies.pop(0) if len(replies) > 1 else replies[0]
            if status == "late":
                time.sleep(reply)
                return
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:{SECRET}@127.0.0.1:{http.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("PROBING_JUDGE_MODEL", "owner/judge")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield SimpleNamespace(replies=replies, asked=asked, store=Store(tmp_path / "store"))
    http.shutdown()
    http.server_close()
