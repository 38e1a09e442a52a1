import functools
import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from colchis_steps._data import fashion
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps.import_data import main


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if "/busy/" in self.path:
            self.send_error(503)
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    files = {}
    (tmp_path / "published").mkdir()
    for name in fashion.FILES:
        (tmp_path / "published" / name).write_bytes(name.encode())
        files[name] = (len(name), hashlib.sha256(name.encode()).hexdigest())
    monkeypatch.setattr(fashion, "FILES", files)
    handler = functools.partial(Handler, directory=str(tmp_path / "published"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{listening.server_address[1]}"
        monkeypatch.setattr(fashion, "BASE", url)
        yield url
        listening.shutdown()
        thread.join()


def test_files_are_fetched_and_checked(server: str, tmp_path: Path) -> None:
    fashion.download(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in fashion.FILES] == [name.encode() for name in fashion.FILES]


def test_another_file_is_refused(server: str, tmp_path: Path) -> None:
    name = "t10k-images-idx3-ubyte.gz"
    (tmp_path / "published" / name).write_bytes(b"x" * len(name))
    with pytest.raises(InputError, match=f"{name} is not the published file"):
        fashion.download(tmp_path)
    assert not (tmp_path / name).exists()


def test_a_file_cut_short_may_be_tried_again(server: str, tmp_path: Path) -> None:
    (tmp_path / "published" / "train-labels-idx1-ubyte.gz").write_bytes(b"train")
    with pytest.raises(TransientError, match="ended after 5 of 26 bytes; try again"):
        fashion.download(tmp_path)


def test_a_busy_server_is_transient_and_an_absent_file_is_not(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion, "BASE", f"{server}/busy")
    with pytest.raises(TransientError, match="503"):
        fashion.download(tmp_path)
    monkeypatch.setattr(fashion, "BASE", f"{server}/elsewhere")
    with pytest.raises(InputError, match=r"404 .*--from DIRECTORY"):
        fashion.download(tmp_path)


def test_without_a_network_the_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(fashion, "BASE", "https://127.0.0.1:1")
    assert main(["fashion-mnist", f"--to=file://{tmp_path}"]) == 75
    assert "https://127.0.0.1:1 cannot be reached" in caplog.text
    assert all(name in caplog.text for name in fashion.FILES)
    assert "--from DIRECTORY" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_late_or_speaks_no_tls_is_transient(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fashion, "BASE", server.replace("http:", "https:"))
    with pytest.raises(TransientError, match="cannot be reached") as caught:
        fashion.download(tmp_path)
    assert isinstance(getattr(caught.value.__cause__, "reason", None), ssl.SSLError)


def test_the_published_address_is_verified_by_tls() -> None:
    assert fashion.BASE.startswith("https://")
