"""Downloads of published weights, from a server of the test's own: whole, broken, wrong and unwilling ones."""
import hashlib
import http.server
import io
import os
import sys
import threading
import urllib.error
import zipfile

import pytest

import rushlight as rl
from rushlight import hub


class Server:
    """Serves `files` (path → bytes). `breaks`: answers that end too early; `ranges`: whether parts can be asked for."""

    def __init__(self):
        self.files, self.breaks, self.ranges, self.asked = {}, 0, True, []
        own = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                own.answer(self)

            def log_message(self, *args):
                """Tests need no log."""

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.http.server_address[1]}/{path}"

    def answer(self, request):
        asked = request.headers.get("Range")
        self.asked.append(asked)
        data = self.files.get(request.path.lstrip("/").partition("?")[0])
        if data is None:
            request.send_error(404)
            return
        start = int(asked[6:-1]) if asked and self.ranges else 0
        if start > len(data):
            request.send_error(416)
            return
        request.send_response(206 if asked and self.ranges else 200)
        rest = data[start:]
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        if self.breaks:
            self.breaks -= 1
            rest = rest[: len(rest) // 2]
        request.wfile.write(rest)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


def saved(**values):
    file = io.BytesIO()
    rl.save(values, file)
    return file.getvalue()


def test_loaded_once(server, tmp_path):
    data = saved(w=rl.arange(5))
    name = f"net-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    server.files[name] = data
    for _ in range(2):
        state = hub.load_state_dict_from_url(server.url(name), progress=False, check_hash=True)
        assert state["w"].tolist() == [0, 1, 2, 3, 4]
    assert len(server.asked) == 1
    assert (tmp_path / "home" / "hub" / "checkpoints" / name).read_bytes() == data


def test_other_folder_and_name(server, tmp_path):
    server.files["net.pth"] = saved(w=rl.ones(2))
    state = hub.load_state_dict_from_url(
        server.url("net.pth?x=1"), model_dir=tmp_path / "there", file_name="own.pth", progress=False)
    assert state["w"].tolist() == [1, 1] and os.listdir(tmp_path / "there") == ["own.pth"]


def test_set_dir(server, tmp_path):
    before = hub.get_dir()
    assert before == str(tmp_path / "home" / "hub")
    try:
        hub.set_dir(tmp_path / "elsewhere")
        assert hub.get_dir() == str(tmp_path / "elsewhere")
    finally:
        hub._folder = None


def test_wrong_hash(server, tmp_path):
    server.files["net-00000000.pth"] = saved(w=rl.ones(2))
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.load_state_dict_from_url(server.url("net-00000000.pth"), progress=False, check_hash=True)
    assert os.listdir(tmp_path / "home" / "hub" / "checkpoints") == []


def test_broken_connections_are_resumed(server, tmp_path):
    server.files["file"] = data = os.urandom(300_000)
    server.breaks = 2
    hub.download_url_to_file(server.url("file"), tmp_path / "file", hashlib.sha256(data).hexdigest(), progress=False)
    assert (tmp_path / "file").read_bytes() == data
    assert server.asked == [None, "bytes=150000-", "bytes=225000-"]
    assert os.listdir(tmp_path) == ["file"]


def test_broken_for_good(server, tmp_path):
    server.files["file"] = data = os.urandom(1000)
    digest, target = hashlib.sha256(data).hexdigest(), tmp_path / "file"
    server.breaks = 99
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        hub.download_url_to_file(server.url("file"), target, digest, progress=False)
    assert os.listdir(tmp_path) == ["file.partial"]  # for the next attempt, under another name than a whole file
    server.breaks = 0
    hub.download_url_to_file(server.url("file"), target, digest, progress=False)
    assert target.read_bytes() == data and server.asked[-1] == "bytes=875-"


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [100, 2000])
@pytest.mark.parametrize("hashed", [True, False])
def test_stale_partial_file(server, tmp_path, ranges, size, hashed):
    """A part of another file, shorter or longer; servers that send parts, or whole files only."""
    server.files["file"], server.ranges = data = os.urandom(1000), ranges
    (tmp_path / "file.partial").write_bytes(os.urandom(size))
    digest = hashlib.sha256(data[0]).hexdigest() if hashed else None
    hub.download_url_to_file(server.url("file"), tmp_path / "file", digest, progress=False)
    assert (tmp_path / "file").read_bytes() == data[0] and os.listdir(tmp_path) == ["file"]


def test_two_at_once(server, tmp_path):
    server.files["file"] = data = os.urandom(3_000_000)
    digest = hashlib.sha256(data).hexdigest()
    arguments = (server.url("file"), tmp_path / "file", digest, False)
    threads = [threading.Thread(target=hub.download_url_to_file, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() == data and os.listdir(tmp_path) == ["file"]


def test_missing_file(server, tmp_path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        hub.download_url_to_file(server.url("none"), tmp_path / "file", progress=False)
    assert len(server.asked) == 1 and os.listdir(tmp_path) == []


def test_progress(server, tmp_path, capsys):
    server.files["file"] = bytes(2_000_000)
    hub.download_url_to_file(server.url("file"), tmp_path / "file")
    assert "100% of 2.0 MB" in capsys.readouterr().err
    hub.download_url_to_file(server.url("file"), tmp_path / "again", progress=False)
    assert capsys.readouterr().err == ""


def test_zip_around_one_file(server):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside.pth", saved(w=rl.zeros(3)))
    server.files["net.zip"] = file.getvalue()
    assert hub.load_state_dict_from_url(server.url("net.zip"), progress=False)["w"].tolist() == [0, 0, 0]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../outside.pth", saved(w=rl.zeros(3)))
    server.files["bad.zip"] = file.getvalue()
    with pytest.raises(RuntimeError, match="refusing to unpack"):
        hub.load_state_dict_from_url(server.url("bad.zip"), progress=False)


# -- repositories ------------------------------------------------------------------------------------------------------

HUBCONF = '''
dependencies = ["json"]
from parts import number as _number


def model(scale, shift=0):
    """A model."""
    return _number * scale + shift


def needs_nothing():
    return None


value = 3
'''


def archive(hubconf=HUBCONF, extra=()):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("owner-name-1a2b/hubconf.py", hubconf)
        file.writestr("owner-name-1a2b/parts.py", "number = 7\n")
        for name in extra:
            file.writestr(name, "")
    return packed.getvalue()


@pytest.fixture
def github(server, monkeypatch):
    monkeypatch.setattr(hub, "GITHUB", server.url(""))
    monkeypatch.setattr(hub, "GITHUB_API", server.url("api/"))
    server.files["owner/name/tree/main/"] = b""
    server.files["api/owner/name/branches"] = b'[{"name": "main", "commit": {"sha": "1a2b"}}]'
    server.files["owner/name/zipball/main"] = archive()
    monkeypatch.setattr("builtins.input", lambda text: pytest.fail("asked"))
    monkeypatch.delitem(sys.modules, "parts", raising=False)
    yield server
    sys.modules.pop("parts", None)


def test_model_of_a_repository(github, capsys):
    assert hub.load("owner/name", "model", 2, shift=1, trust_repo=True) == 15
    assert hub.load("owner/name", "model", 3) == 21  # trusted by now, and kept
    assert "Using cache" in capsys.readouterr().err
    assert hub.list("owner/name", verbose=False) == ["model", "needs_nothing"]
    assert hub.help("owner/name:main", "model") == "A model."
    github.files["owner/name/zipball/main"] = archive(HUBCONF.replace("* scale", "* 2 * scale"))
    assert hub.load("owner/name", "model", 1) == 7
    assert hub.load("owner/name", "model", 1, force_reload=True) == 14
    assert not [name for name in os.listdir(hub.get_dir()) if name.endswith((".zip", ".partial"))]


def test_a_repository_must_be_trusted(github, monkeypatch):
    answers = iter(["", "perhaps", "y"])
    monkeypatch.setattr("builtins.input", lambda text: next(answers))
    with pytest.raises(Exception, match="Untrusted repository"):
        hub.load("owner/name", "model", 1)
    with pytest.raises(ValueError, match="Unrecognized response perhaps"):
        hub.load("owner/name", "model", 1)
    assert hub.load("owner/name", "model", 1) == 7
    assert hub.load("owner/name", "model", 1) == 7
    with pytest.raises(StopIteration):
        hub.load("owner/name", "model", 1, trust_repo=False)


def test_wrong_repositories(github):
    def load(name, model="model", **options):
        return hub.load(name, model, 1, trust_repo=True, **options)
    with pytest.raises(ValueError, match="Cannot find fork"):
        github.files["api/owner/name/tags"] = github.files["api/owner/name/branches"] = b"[]"
        load("owner/name:fork")
    assert load("owner/name", skip_validation=True) == 7
    for name, model, text in (("owner/name", "value", "callable value"), ("owner/name", "none", "callable none")):
        with pytest.raises(RuntimeError, match=text):
            load(name, model)
    with pytest.raises(ValueError, match="string of function"):
        load("owner/name", 3)
    with pytest.raises(ValueError, match="owner/name"):
        load("name")
    with pytest.raises(ValueError, match="Unknown source"):
        load("owner/name", source="gitlab")
    github.files["owner/name/zipball/main"] = archive(HUBCONF.replace("json", "no_such_package"))
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package"):
        load("owner/name", force_reload=True, skip_validation=True)
    github.files["owner/name/zipball/main"] = archive(extra=["../../outside.py"])
    with pytest.raises(RuntimeError, match="refusing to unpack"):
        load("owner/name", force_reload=True, skip_validation=True)
    assert not os.path.exists(os.path.join(hub.get_dir(), "..", "outside.py"))


def test_without_a_network_the_cache_serves(github, monkeypatch):
    hub.load("owner/name", "model", 1, trust_repo=True)
    monkeypatch.setattr(hub, "GITHUB", "http://127.0.0.1:1/")
    assert hub.load("owner/name", "model", 1) == 7
    with pytest.raises(RuntimeError, match="no internet connection"):
        hub.load("owner/other", "model", 1)


def test_model_of_a_folder(tmp_path, monkeypatch):
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    (tmp_path / "parts.py").write_text("number = 5\n")
    monkeypatch.delitem(sys.modules, "parts", raising=False)
    assert hub.load(tmp_path, "model", 2, source="local") == 10
    assert str(tmp_path) not in sys.path
    sys.modules.pop("parts", None)
