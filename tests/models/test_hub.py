"""Hub names go through the same doors: checked against a server on loopback."""

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from probing_core.experiments.saes import sae_key, study_saes
from probing_core.models.embedded import embedded_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Serves folders as repositories, with the headers huggingface_hub asks for; slow to greet."""

    repositories: dict[str, Path] = {}

    def find(self):
        path = self.path.split("?")[0].strip("/")
        for name, folder in self.repositories.items():
            if path.startswith(f"{name}/resolve/"):
                return folder / path.split("/resolve/")[1].split("/", 1)[1]
        return None

    def describe(self):
        """What the hub's API says of a repository, or of the files below a folder of it."""
        name, _, tree = self.path.removeprefix("/api/models/").split("?")[0].partition("/tree/")
        folder = self.repositories[name.split("/revision/")[0]] / unquote(tree).partition("/")[2]
        files = [p for p in sorted(folder.iterdir()) if p.is_file()] if folder.is_dir() else []
        if tree:
            sizes = [(p.name, p.stat().st_size) for p in files]
            return [{"type": "file", "path": n, "size": s, "oid": COMMIT} for n, s in sizes]
        return {"id": name, "sha": COMMIT, "siblings": [{"rfilename": p.name} for p in files]}

    def answer(self, body):
        time.sleep(1.0 if self.path == "/" else 0)
        file = self.find()
        if self.path.startswith("/api/models/"):
            data = json.dumps(self.describe()).encode()
        elif file is not None and file.is_file():
            data = file.read_bytes()
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(small_study):
    (source,) = study_saes(small_study)
    saved = small_study.store.path(sae_key(small_study, source))
    Hub.repositories = {"owner/model": embedded_folder("minilm"), "owner/saes": saved.parent}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", saved.name
    server.shutdown()
    server.server_close()


def run(script, endpoint, home, **changes):
    hidden = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}
    kept = {k: v for k, v in os.environ.items() if k not in hidden}
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env=kept | hub | changes,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


@pytest.fixture(params=["refuses", "is silent"])
def dead_end(request):
    """The address of a hub that refuses connections, or takes them and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "is silent":
            server.listen(50)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("dead_end", ["is silent"], indirect=True)
def test_hub_model_loads_and_stays_where_the_hub_is_out_of_reach(hub, dead_end, tmp_path):
    script = """
        from probing_core.models.adapter import load_model, model_revision
        print(load_model("owner/model", device="cpu").d_model, model_revision("owner/model"))
    """
    assert run(script, hub[0], tmp_path) == ["384", COMMIT]
    # once cached, it needs no hub
    assert run(script, dead_end, tmp_path) == ["384", COMMIT]


def test_sae_of_a_hub_repository_loads_and_its_identity_is_its_commit(hub, tmp_path):
    script = f"""
        from probing_core.profiles import ReleasedSAE
        from probing_core.saes.sources import expand, identity, load_external
        (source,) = expand((ReleasedSAE(release="owner/saes", id={hub[1]!r}),))
        sae = load_external(source)
        print(sae.cfg.d_sae, sae.cfg.metadata.hook_name, *identity(source).values())
    """
    expected = ["512", "blocks.3.hook_resid_post", "owner/saes", hub[1], COMMIT]
    assert run(script, hub[0], tmp_path) == expected


def test_commit_is_the_newest_or_the_cached_one_while_offline(hub, tmp_path, monkeypatch):
    script = "from probing_core.models.adapter import hub_commit; print(hub_commit('owner/saes'))"
    assert run(script, hub[0], tmp_path) == [COMMIT]
    before = COMMIT
    monkeypatch.setattr(sys.modules[__name__], "COMMIT", COMMIT[::-1])
    assert run(script, hub[0], tmp_path, HF_HUB_OFFLINE="1") == [before]
    assert run(script, hub[0], tmp_path) == [COMMIT]


def test_out_of_reach_hub_is_told_within_three_seconds(dead_end, tmp_path):
    script = """
        import time
        import sae_lens.loading.pretrained_saes_directory as listed
        from transformer_lens.model_bridge import TransformerBridge
        from probing_core.errors import UserError
        from probing_core.models.adapter import known_models, load_model, model_revision
        from probing_core.profiles import ReleasedSAE
        from probing_core.saes.sources import identity, load_external

        known_models(), listed.get_pretrained_saes_directory()
        sae = ReleasedSAE(release="owner/saes", id="mine")
        start = time.monotonic()
        models = [(load_model, "gpt2"), (model_revision, "gpt2"), (load_model, "owner/model")]
        for read, what in [(load_external, sae), (identity, sae), *models]:
            try:
                read(what)
            except UserError as error:
                print("the hub did not serve it" in str(error))
        print(time.monotonic() - start)
    """
    *told, seconds = run(script, dead_end, tmp_path)
    assert told == ["True"] * 5 and float(seconds) < 3
