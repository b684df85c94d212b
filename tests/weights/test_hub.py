"""Trained networks in folders, and in repositories of a hub that this file plays itself."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save_file
from test_weights import DESCRIPTION, small_network

from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.weights import TrainedNetwork, export, hub, load_network, read_trained, write_trained

COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the protocol of the Hugging Face Hub as one small repository takes."""

    files: dict[str, bytes]

    def do_HEAD(self):
        self._send_file()

    def do_GET(self):
        self.wfile.write(self._send_file())

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        address = f"http://{self.headers['Host']}/ann/net"
        if self.path.endswith("/create"):
            self._answer({"url": address})
        elif self.path.endswith("/validate-yaml"):
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(content)["files"]]
            self._answer({"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        elif "/commit/" in self.path:
            for line in map(json.loads, content.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._answer({"success": True, "commitOid": COMMIT, "commitUrl": f"{address}/commit/{COMMIT}"})
        else:
            self.send_error(404)

    def log_message(self, *_):
        """Keep quiet."""

    def _send_file(self):
        """Send the headers of a file, and return its content."""
        content = self.files.get(self.path.rpartition("/")[2]) if self.path.startswith("/ann/net/resolve/") else None
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            return b""
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def _answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def on_hub(tmp_path):
    """Run a program whose hub is this one; give its output, and the files that the hub holds."""
    handler = type("ThisHub", (Hub,), {"files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    places = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub"), "HF_TOKEN": "hf_ours", "HF_HUB_OFFLINE": "0"}

    def run(program):
        words = [sys.executable, "-c", program]
        environment = os.environ | places
        return subprocess.run(
            words, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path
        ), handler

    yield run
    server.shutdown()
    server.server_close()


@pytest.fixture
def trained(tmp_path):
    network = small_network()
    write_trained(tmp_path / "net.safetensors", TrainedNetwork(DESCRIPTION, True, network.state_dict(), {"steps": "7"}))
    return network


def equal(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_a_folder_holds_a_network_and_its_card(tmp_path, trained):
    export(tmp_path / "net.safetensors", tmp_path / "folder")
    assert equal(load_network(tmp_path / "folder"), trained)
    card = (tmp_path / "folder" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: lowrank-unroll\n---\n")
    assert '"features": 4' in card
    assert "- steps: 7" in card


def test_the_card_is_that_of_the_box_or_the_one_given(tmp_path, trained):
    export("color_cs", tmp_path / "box")
    assert "BSDS500" in (tmp_path / "box" / "README.md").read_text()
    assert read_trained(tmp_path / "box").about == read_trained("color_cs").about
    (tmp_path / "card.md").write_text("# mine\n")
    export(tmp_path / "net.safetensors", tmp_path / "box", tmp_path / "card.md")  # takes the place of the other
    assert (tmp_path / "box" / "README.md").read_text() == "# mine\n"
    assert equal(load_network(tmp_path / "box"), trained)


@pytest.mark.parametrize("held", [["README.md"], ["model.safetensors"], ["README.md", "model.safetensors"]])
def test_nothing_of_another_project_is_replaced(tmp_path, held):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "README.md").write_text("# mine\n")
    for name in {"README.md", "model.safetensors"} - set(held):
        (tmp_path / name).unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=f"has a {' and a '.join(sorted(held, reverse=True))} of something else"):
        export("color_cs", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_card_shows_what_a_file_says_as_text(tmp_path, trained):
    about = {"x": "<script>alert(1)</script>\n---\nlicense: evil"}
    write_trained(tmp_path / "a.safetensors", TrainedNetwork(DESCRIPTION, True, trained.state_dict(), about))
    export(tmp_path / "a.safetensors", tmp_path / "folder")
    card = (tmp_path / "folder" / "README.md").read_text()
    assert r"- x: \<script\>alert(1)\</script\>\\n---\\nlicense: evil" in card


def test_a_card_that_is_no_text_is_named(tmp_path):
    (tmp_path / "card.md").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"card\.md: is no text"):
        export("color_cs", tmp_path / "folder", tmp_path / "card.md")
    assert not (tmp_path / "folder").exists()


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no weights .*: expected a file \(.safetensors, .ckpt\), hub:OWNER/NAME"):
        load_network(tmp_path)


@pytest.mark.slow
def test_a_network_goes_to_the_hub_and_comes_back_and_what_is_not_there_is_refused_in_words(tmp_path, trained, on_hub):
    result, held = on_hub(
        "from lowrank_unroll.weights import export, load_network, publish\n"
        "print(publish('net.safetensors', 'ann/net'))\n"
        "export('hub:ann/net', 'back')\n"
        "load_network('hub:ann/other')"
    )
    assert "UsageError: hub:ann/other: no model.safetensors can be downloaded from the hub" in result.stderr
    assert result.stdout.strip().endswith("/ann/net")
    assert held.files.keys() >= {"model.safetensors", "README.md"}
    assert equal(load_network(tmp_path / "back"), trained)


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lowrank-unroll\[hub\]"'):
        hub.downloaded("ann/net")
