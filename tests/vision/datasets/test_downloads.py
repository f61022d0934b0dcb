"""Downloads from a local server: whole, cut, resumed, corrupt, slow; archives that would leave their folder."""
import functools
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from rushlight.vision import datasets
from rushlight.vision.datasets import utils

Image = pytest.importorskip("PIL.Image")
PAYLOAD = bytes(range(256)) * 400


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files with ranges; `cut.bin` breaks off after a third, once."""

    def do_GET(self):
        path = self.server.folder / self.path.lstrip("/")
        if not path.exists():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.server.asked.append((self.path, self.headers.get("Range")))
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if path.name.startswith("cut") and len(self.server.asked) == 1:
            end = len(content) // 3
        self.wfile.write(content[start:end])

    def log_message(self, *args):
        """Be quiet."""


@pytest.fixture
def server(tmp_path):
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path)))
    found.folder, found.asked = tmp_path / "server", []
    found.folder.mkdir()
    found.url = f"http://127.0.0.1:{found.server_address[1]}/"
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def md5(content):
    return hashlib.md5(content).hexdigest()


def test_whole_and_checked(server, tmp_path):
    (server.folder / "a.bin").write_bytes(PAYLOAD)
    for _ in range(2):
        utils.download_url(server.url + "a.bin", tmp_path / "out", md5=md5(PAYLOAD))
    assert (tmp_path / "out" / "a.bin").read_bytes() == PAYLOAD and len(server.asked) == 1


def test_a_cut_download_is_resumed(server, tmp_path):
    (server.folder / "cut.bin").write_bytes(PAYLOAD)
    utils.download_url(server.url + "cut.bin", tmp_path / "out", md5=md5(PAYLOAD))
    assert (tmp_path / "out" / "cut.bin").read_bytes() == PAYLOAD
    assert server.asked[1][1] == f"bytes={len(PAYLOAD) // 3}-"


def test_wrong_contents_leave_nothing(server, tmp_path):
    (server.folder / "a.bin").write_bytes(PAYLOAD)
    with pytest.raises(RuntimeError, match="MD5"):
        utils.download_url(server.url + "a.bin", tmp_path / "out", md5=md5(b"other"))
    assert list((tmp_path / "out").iterdir()) == []


def tar(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def picture(seed=0):
    file = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (6, 8, 3), dtype=np.uint8)).save(file, format="PNG")
    return file.getvalue()


def test_a_data_set_is_downloaded_once(server, tmp_path, monkeypatch):
    content = tar({"country211/train/AD/1.png": picture(), "country211/train/BE/2.png": picture(1)})
    (server.folder / "country211.tgz").write_bytes(content)
    monkeypatch.setattr(datasets.Country211, "archives", ((server.url + "country211.tgz", md5(content)),))
    with pytest.raises(RuntimeError, match="download=True"):
        datasets.Country211(tmp_path / "data")
    for _ in range(2):
        data = datasets.Country211(tmp_path / "data", download=True)
        assert len(data) == 2 and data.classes == ["AD", "BE"]
    assert len(server.asked) == 1


def test_a_truncated_archive_is_refused(server, tmp_path, monkeypatch):
    content = tar({"country211/train/AD/1.png": picture()})
    (server.folder / "country211.tgz").write_bytes(content[:-40])
    monkeypatch.setattr(datasets.Country211, "archives", ((server.url + "country211.tgz", md5(content)),))
    with pytest.raises(RuntimeError, match="MD5"):
        datasets.Country211(tmp_path / "data", download=True)


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_stay_in_their_folder(server, tmp_path, kind):
    if kind == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("../outside.txt", "x")
        content = packed.getvalue()
    else:
        content = tar({"../outside.txt": b"x"})
    (server.folder / f"evil.{kind}").write_bytes(content)
    with pytest.raises(RuntimeError, match="refusing to unpack"):
        utils.download_and_extract_archive(f"{server.url}evil.{kind}", str(tmp_path / "inside"))
    assert not (tmp_path / "outside.txt").exists()


def test_google_drive_is_asked_by_number(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(utils, "download_url", lambda *args: asked.append(args))
    utils.download_file_from_google_drive("abc", tmp_path, "x.zip", "00")
    assert "id=abc" in asked[0][0] and asked[0][1:] == (tmp_path, "x.zip", "00")
