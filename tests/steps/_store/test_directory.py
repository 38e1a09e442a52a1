"""What can be wrong with a directory: absent, full, read-only, in the way; and writers that died."""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound
from colchis_steps._store.directory import FileStore

WRITER = """
import sys
from pathlib import Path
from colchis_steps._store.directory import FileStore
def sent(size):
    print(size, flush=True)
FileStore(Path(sys.argv[1])).upload("blobs/x", Path(sys.argv[2]), sent)
print("done", flush=True)
"""


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a small file system; only root may, and root is whom permissions do not hold back."""
    mounted: list[Path] = []

    def do(options: str) -> Path:
        path = tmp_path / f"mount-{len(mounted)}"
        path.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no right to mount: {done.stderr.decode()[:80]}")
        mounted.append(path)
        return path

    yield do
    for path in mounted:
        subprocess.run(["umount", path], check=True)


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_store_that_is_not_there_says_so(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "typo")
    with pytest.raises(NotFound, match=r"typo is not there \(wanted: data/manifest.json\); check the address"):
        store.read("data/manifest.json")
    assert list(store.keys("")) == []
    assert store.size("k") is None
    store.delete("k")
    assert not store.root.exists()


@pytest.mark.parametrize("root", ["file", "file/below", "/proc/nothing"])
def test_a_store_that_cannot_be_made_says_what_is_in_the_way(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"k cannot be in file:.*clear what is in the way, or give another store"):
        FileStore(tmp_path / root).write("k", b"")


def test_a_key_below_another_key_is_refused(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.write("a", b"")
    store.write("d/k", b"")
    for key in ("a/b", "a/b/c", "d"):
        for put in (store.write, store.create):
            with pytest.raises(InputError, match="clear what is in the way"):
                put(key, b"")
    assert files_below(tmp_path) == {"a", "d/k", ".incomplete/lock"}


@pytest.mark.servers
def test_a_full_store_keeps_nothing_half(mount: Callable[..., Path], tmp_path: Path) -> None:
    store, big = FileStore(mount("size=4m")), tmp_path / "big"
    big.write_bytes(bytes(8 << 20))
    store.write("kept", b"x")
    with pytest.raises(InputError, match=r"is full; free space there, or give another store"):
        store.upload("blobs/big", big)
    with pytest.raises(InputError, match="is full"):
        store.create("created", bytes(8 << 20))
    assert files_below(store.root) == {"kept", ".incomplete/lock"}
    assert store.create("small", bytes(1 << 20))


@pytest.mark.servers
def test_a_read_only_store_is_read_and_not_written(mount: Callable[..., Path]) -> None:
    store = FileStore(mount("size=1m"))
    store.write("kept", b"x")
    subprocess.run(["mount", "-o", "remount,ro", store.root], check=True)
    assert store.read("kept") == b"x"
    for put in (store.write, store.create, lambda k, c: store.replace(k, c, None), lambda k, _: store.delete(k)):
        with pytest.raises(InputError, match=r"is read-only; give one that can be written"):
            put("kept", b"y")
    with pytest.raises(InputError, match="is read-only"):
        FileStore(store.root / "below").write("k", b"")


def test_a_store_without_permission_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:  # permissions do not hold root back
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=r"no permission to use k in file:.*; give this user the right"):
            FileStore(tmp_path).write("k", b"")
    finally:
        os.seteuid(user)


@pytest.mark.servers
def test_a_killed_writer_leaves_nothing_visible_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    big, root = tmp_path / "big", tmp_path / "store"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, root, big], stdout=subprocess.PIPE)
    assert writer.stdout
    for _ in range(5):
        assert writer.stdout.readline()
    writer.kill()
    assert b"done" not in writer.communicate()[0]
    store = FileStore(root)
    assert store.size("blobs/x") is None
    assert list(store.keys("")) == []
    assert len(files_below(root)) == 1  # the leftover
    big.write_bytes(b"small")
    assert store.upload("blobs/x", big)
    assert files_below(root) == {"blobs/x", ".incomplete/lock"}


def test_tidying_spares_writers_that_live(tmp_path: Path) -> None:
    place = tmp_path / ".incomplete"
    place.mkdir()
    (place / "dead").write_bytes(b"x")
    with (place / "alive").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        FileStore(tmp_path).write("k", b"")
        assert files_below(tmp_path) == {"k", ".incomplete/alive", ".incomplete/lock"}


@pytest.mark.servers
def test_a_big_file_goes_through_in_constant_memory(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(256 << 20)
    code = f"{WRITER}\nprint(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s", big], capture_output=True, check=True, text=True)
    assert int(done.stdout.split()[-1]) < 100 << 10  # KiB
    with (tmp_path / "s/blobs/x").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(bytes(256 << 20)).digest()


@pytest.mark.servers
def test_replace_waits_for_the_lock(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.write("k", b"1")
    code = (
        "import sys; from pathlib import Path; from colchis_steps._store.directory import FileStore as F; print('go');"
    )
    code += "sys.stdout.flush(); F(Path(sys.argv[1])).write('k', b'2')"
    with (tmp_path / ".incomplete/lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
        assert other.stdout
        assert other.stdout.readline() == b"go\n"
        deadline = time.monotonic() + 10
        while len(list((tmp_path / ".incomplete").iterdir())) < 2:
            assert time.monotonic() < deadline
        assert store.read("k") == b"1"
    assert other.wait(10) == 0
    other.stdout.close()
    assert store.read("k") == b"2"
