"""Downloads on simulated networks: a server here that answers, refuses, stalls or never answers."""

import gzip
import hashlib
import socket
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torchvision.datasets

from gedi_nesy.data import DataUnavailable, download, load_images, mnist

PATIENCE = 0.5  # seconds; the real one is 10


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no other place to look in."""
    monkeypatch.delenv("GEDI_NESY_DATA", raising=False)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setattr("gedi_nesy.data.places.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(download, "PATIENCE", PATIENCE)
    return tmp_path / "cache"


def mirror(monkeypatch, port):
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])


def give_up(says):
    """load_images gives up for the reason `says`."""
    with pytest.raises(DataUnavailable, match=says) as caught:
        load_images("mnist")
    assert all(word in str(caught.value) for word in ("--data-dir", "GEDI_NESY_DATA", "--dataset digits"))


def test_a_whole_download_ends_in_the_cache_and_is_not_repeated(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 1e4)  # the server's bytes may come late on a busy machine
    arrays = [np.zeros((2, 28, 28), np.uint8), np.array([3, 4], np.uint8)] * 2
    plain = {name: idx(array) for name, array in zip(mnist.FILES, arrays, strict=True)}
    packed = {name: gzip.compress(data, mtime=0) for name, data in plain.items()}
    (tmp_path / "server").mkdir()
    for name, data in packed.items():
        (tmp_path / "server" / f"{name}.gz").write_bytes(data)
    monkeypatch.setattr(mnist, "FILES", {name: (md5(packed[name]), md5(plain[name])) for name in plain})
    resources = [(f"{name}.gz", md5(data)) for name, data in packed.items()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "server")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror(monkeypatch, server.server_port)
        assert load_images("mnist").y_test.tolist() == [3, 4]
        (tmp_path / "server" / "train-labels-idx1-ubyte.gz").write_bytes(b"tampered")
        assert load_images("mnist").y_train.tolist() == [3, 4]  # from the cache
        for file in (cache / "MNIST" / "raw").iterdir():
            file.unlink()
        give_up(r"the download failed \(File not found or corrupted")  # its hash is wrong
        server.shutdown()
    assert not list((cache / "MNIST" / "raw").iterdir())
    assert not list(cache.glob(".download-*"))


def test_a_refused_connection(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    mirror(monkeypatch, port)
    give_up("the download failed .*refused")


def test_a_black_hole(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, never says a word
        mirror(monkeypatch, silent.getsockname()[1])
        give_up("given up after 0.5 seconds without a byte")
    assert not list(cache.iterdir())


def test_a_server_that_stalls_half_way(cache, monkeypatch):
    def stall(server):
        for body in (b"", b"x" * 70_000):  # to HEAD, then to GET
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 9912422\r\n\r\n" + body)
            kept.append(connection)

    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=stall, args=(server,), daemon=True).start()
        mirror(monkeypatch, server.getsockname()[1])
        give_up("given up after 0.5 seconds without a byte")
    assert len(kept) == 2
    kept[1].close()


def test_a_name_server_that_hangs(cache, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: released.wait(20))
    give_up("given up after 0.5 seconds without a byte")
    released.set()


def test_a_cache_folder_that_cannot_be_made(cache):
    cache.write_text("a file, where the folder should be")
    give_up("the cache folder .* can't be written")
