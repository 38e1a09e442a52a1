"""Code as a zip by digest: the same on any machine, and it never unpacks outside."""

import hashlib
import io
import os
import shutil
import stat
import subprocess
import warnings
import zipfile
from pathlib import Path

import pytest

from colchis_steps._content import code as _code
from colchis_steps._content.code import describe_code, listed, unpack_code
from colchis_steps._content.revision import repository_of, revision_of
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps.push_code import main, push


@pytest.fixture
def code(tmp_path: Path) -> Path:
    directory = tmp_path / "code"
    (directory / "package/__pycache__").mkdir(parents=True)
    (directory / ".hidden").mkdir()
    for name in ("digits.py", "package/__init__.py", "package/labels.txt", ".hidden/x.py", ".env", "old.pyc"):
        (directory / name).write_text(f"# {name}\n")
    (directory / "package/__pycache__/x.py").touch()
    (directory / "inner.py").symlink_to("digits.py")
    return directory


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", directory, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.servers
def test_code_goes_around(store: Objects, code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code / "digits.py").chmod(0o755)
    assert main([str(code), f"--store={store.url}"]) == 0
    uri = capsys.readouterr().out.strip()
    key = uri.removeprefix(f"{store.url}/")
    digest = hashlib.sha256(store.read(key)).hexdigest()
    assert key == f"code/{digest}.zip"
    assert describe_code(uri) == (f"sha256:{digest}", "", "")
    unpack_code(uri, tmp_path / "back")
    back = {p.relative_to(tmp_path / "back").as_posix(): p for p in (tmp_path / "back").rglob("*") if p.is_file()}
    assert sorted(back) == ["digits.py", "inner.py", "package/__init__.py", "package/labels.txt"]
    assert back["inner.py"].read_text() == "# digits.py\n"
    assert not back["inner.py"].is_symlink()
    assert stat.S_IMODE(back["digits.py"].stat().st_mode) == 0o755
    assert stat.S_IMODE(back["package/labels.txt"].stat().st_mode) == 0o644
    unpack_code(uri, tmp_path / "back")  # over what is there


@pytest.mark.servers
def test_equal_files_give_equal_bytes(store: Objects, code: Path) -> None:
    first = push(store, code)
    for path in code.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (code / "package/__pycache__/more.pyc").touch()
    assert push(store, code) == first
    (code / "digits.py").write_text("# other\n")
    assert push(store, code) != first


@pytest.mark.servers
def test_the_revision_is_recorded_with_what_git_does_not_hold(store: Objects, code: Path, tmp_path: Path) -> None:
    def revision() -> str:
        return describe_code(push(store, code)).revision

    git(tmp_path, "init")
    assert revision() == ""
    (tmp_path / "other").touch()
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "-m", "x")
    assert revision() == ""  # a repository that holds none of the files
    git(tmp_path, "add", "code/digits.py", "code/inner.py", "code/package/__init__.py", "code/package/labels.txt")
    git(tmp_path, "commit", "-m", "y")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "other").write_text("not part of the code")
    assert revision() == head
    (code / "untracked.py").touch()
    assert revision() == f"{head}-dirty"
    (code / "untracked.py").unlink()
    (code / "digits.py").write_text("# changed\n")
    assert revision() == f"{head}-dirty"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("https://Git.example/team/models.git", "https://git.example/team/models"),
        ("https://medea:s3cret@git.example:8443/team/models/", "https://git.example:8443/team/models"),
        ("git@git.example:team/models.git", "https://git.example/team/models"),
        ("ssh://git@git.example:2222/team/models.git", "https://git.example/team/models"),
        ("/home/medea/models", ""),
        ("../models", ""),
        ("file:///home/medea/models.git", ""),
        ("https://git.example:port/team/models", ""),
        ("https://git.example/team/<script>", ""),
        ("ext::sh -c 'touch ran'", ""),
        (f"https://git.example/{'x' * 300}", ""),
    ],
)
def test_the_repository_is_where_its_origin_is(store: Objects, code: Path, origin: str, told: str) -> None:
    git(code, "init")
    git(code, "remote", "add", "origin", origin)
    assert repository_of(code) == told
    assert describe_code(push(store, code))[1:] == ("", "")  # not of a commit
    git(code, "add", ".")
    git(code, "commit", "-m", "x")
    assert describe_code(push(store, code))[1:] == (git(code, "rev-parse", "HEAD"), told)


@pytest.mark.servers
def test_no_program_that_a_repository_names_is_run(code: Path, tmp_path: Path) -> None:
    ran, program = tmp_path / "ran", tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 $@ >> {ran}\ncat\n")
    program.chmod(0o755)
    git(code, "init")
    git(code, "add", ".")
    git(code, "commit", "-m", "x")
    head = git(code, "rev-parse", "HEAD")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        shutil.copy(program, hooks / name)
    for name, value in {
        "core.fsmonitor": program,
        "core.hooksPath": hooks,
        "filter.bad.clean": program,
        "filter.bad.process": program,
        "filter.bad.required": "true",
        "diff.external": program,
        "core.sshCommand": program,
        "core.pager": program,
        "extensions.partialClone": "away",
        "remote.away.url": f"ext::{program}",
        "remote.away.promisor": "true",
        "protocol.ext.allow": "always",
    }.items():
        git(code, "config", str(name), str(value))
    (code / ".git/info/attributes").write_text("* filter=bad diff=bad\n")
    git(code, "config", "diff.bad.command", str(program))
    os.utime(code / "digits.py", (1, 1))  # so that git would look into the file
    assert revision_of(code, listed(code)) == head
    (code / "digits.py").write_text("# changed\n")
    assert revision_of(code, listed(code)) == f"{head}-dirty"
    for path in (code / ".git/objects").rglob("??/*"):  # a partial clone, which fetches what it lacks
        path.unlink()
    assert revision_of(code, listed(code)) == ""
    assert not ran.exists(), ran.read_text()
    subprocess.run(["git", "-C", code, "status"], check=False, capture_output=True)
    assert ran.exists(), "the programs are such as git runs"


@pytest.mark.servers
def test_a_directory_that_looks_like_a_repository_is_none(code: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--bare", "code")  # HEAD, objects and config lie beside the code
    (code / "objects/x.py").touch()
    assert revision_of(code, listed(code)) == ""


@pytest.mark.servers
def test_a_deleted_file_and_a_mode_are_changes(code: Path) -> None:
    git(code, "init", "--object-format=sha256")
    git(code, "add", "digits.py", "inner.py", "package")
    git(code, "commit", "-m", "x")
    head = git(code, "rev-parse", "HEAD")
    assert revision_of(code, listed(code)) == head
    assert len(head) == 64
    (code / "digits.py").chmod(0o755)
    assert revision_of(code, listed(code)) == f"{head}-dirty"
    (code / "digits.py").chmod(0o644)
    (code / "package/labels.txt").unlink()
    assert revision_of(code, listed(code)) == f"{head}-dirty"


def test_links_that_leave_are_refused(store: Objects, code: Path, tmp_path: Path) -> None:
    for name, target, words in (
        ("out.py", "/etc/hostname", "out.py is a link that leaves"),
        ("up", "..", "up is a link that leaves"),
        ("around", "package", "around is neither a plain file nor a link to one"),
        ("broken", "nowhere", "broken is neither a plain file nor a link"),
    ):
        (code / name).symlink_to(target)
        with pytest.raises(InputError, match=words):
            push(store, code)
        (code / name).unlink()
    assert not list(store.keys(""))


def test_what_holds_no_code_is_refused(
    tmp_path: Path, code: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"--store={(tmp_path / 'store').as_uri()}"
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), store]) == 65
    assert "empty holds no Python file; give the directory that has" in caplog.text
    assert main([str(tmp_path / "absent"), store]) == 65
    assert "absent is not a directory" in caplog.text
    with (code / "weights.bin").open("wb") as file:
        file.truncate(65 << 20)
    assert main([str(code), store]) == 65
    assert "holds 65 MiB, more than the 64 MiB that code may have; move data out" in caplog.text
    assert "weights.bin" in caplog.text


def stored_zip(store: Objects, members: dict[str, bytes], mode: int = 0o644) -> str:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    key = f"code/{hashlib.sha256(out.getvalue()).hexdigest()}.zip"
    store.write(key, out.getvalue())
    return f"{store.url}/{key}"


def test_a_zip_never_writes_outside(tmp_path: Path) -> None:
    store, back = open_store((tmp_path / "store").as_uri()), tmp_path / "in/back"
    for name in ("../out.py", "/out.py", "a/../../out.py", "a\\..\\out.py"):
        with pytest.raises(InputError, match="is not a key of a store"):
            unpack_code(stored_zip(store, {"ok.py": b"", name: b""}), back)
    with pytest.raises(InputError, match=r"holds a link, 'link\.py'"):
        unpack_code(stored_zip(store, {"link.py": b"/etc/passwd"}, stat.S_IFLNK | 0o777), back)
    assert not back.exists()
    back.mkdir(parents=True)
    (back / "there").symlink_to(tmp_path)
    with pytest.raises(InputError, match="would be written outside"):
        unpack_code(stored_zip(store, {"there/out.py": b""}), back)
    assert not list(tmp_path.rglob("out.py"))


def written(store: Objects, content: bytes) -> str:
    key = f"code/{hashlib.sha256(content).hexdigest()}.zip"
    store.write(key, content)
    return f"{store.url}/{key}"


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def changed(content: bytes, signature: bytes, at: int, value: bytes) -> bytes:
    """Change bytes behind the last of these signatures."""
    start = content.rindex(signature) + at
    return content[:start] + value + content[start + len(value) :]


ONE = zipped(("a.py", b"x = 1\n" * 100), method=zipfile.ZIP_DEFLATED)
BAD_ZIPS = {
    "empty": b"",
    "cut": ONE[:-30],
    "a file where another needs a directory": zipped(("a", b"1"), ("a/b.py", b"2")),
    "a name twice": zipped(("a.py", b"1"), ("a.py", b"2")),
    "encrypted": changed(changed(ONE, b"PK\x01\x02", 8, b"\x01"), b"PK\x03\x04", 6, b"\x01"),
    "an unknown method": changed(ONE, b"PK\x01\x02", 10, b"\x63"),
    "lzma": zipped(("a.py", b"x"), method=zipfile.ZIP_LZMA),
    "damaged data": ONE[:38] + b"\xff" * 8 + ONE[46:],
    "a list of a terabyte": changed(ONE, b"PK\x05\x06", 12, b"\xf0\xff\xff\xff"),
    "a version of tomorrow": changed(ONE, b"PK\x01\x02", 6, b"\xff"),
    "says less than it has": changed(ONE, b"PK\x01\x02", 24, b"\x01\0\0\0"),
}


@pytest.mark.parametrize("content", BAD_ZIPS.values(), ids=BAD_ZIPS)
def test_a_bad_zip_is_bad_input_and_no_bug(tmp_path: Path, content: bytes) -> None:
    store = open_store((tmp_path / "store").as_uri())
    with pytest.raises(InputError, match=r"is not a zip of code \(.+\); push the code again"):
        unpack_code(written(store, content), tmp_path / "back")


def test_more_files_than_code_has_are_refused_before_they_are_in_memory(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    uri = written(store, zipped(*((f"{n:05}{'x' * 100}", b"") for n in range(20_001))))
    with pytest.raises(InputError, match="20001 members, more than 20000"):
        unpack_code(uri, tmp_path / "back")
    long = written(store, zipped(*((f"{n:05}{'x' * 250}", b"") for n in range(20_000))))
    with pytest.raises(InputError, match=r"its list of members has \d+ bytes"):
        unpack_code(long, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_what_is_no_code_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, back = open_store((tmp_path / "store").as_uri()), tmp_path / "back"
    for uri in ("", "digits.zip", f"{store.url}/code/x.zip", f"{store.url}/{'0' * 64}.zip"):
        with pytest.raises(InputError, match="names no code; give what push_code printed"):
            unpack_code(uri, back)
        with pytest.raises(InputError, match="names no code; give what push_code printed"):
            describe_code(uri)
    store.write("k", b"")
    with pytest.raises(InputError, match="has no code/0000"):
        unpack_code(f"{store.url}/code/{'0' * 64}.zip", back)
    with pytest.raises(InputError, match="has no code/0000"):
        describe_code(f"{store.url}/code/{'0' * 64}.zip")
    uri = stored_zip(store, {"a.py": b"x"})
    store.write(uri.removeprefix(f"{store.url}/"), b"altered")
    with pytest.raises(InputError, match="is altered: its sha256 is not its name"):
        unpack_code(uri, back)
    store.write(f"code/{hashlib.sha256(b'no zip').hexdigest()}.zip", b"no zip")
    with pytest.raises(InputError, match=r"is not a zip of code \(.*\); push the code again"):
        unpack_code(f"{store.url}/code/{hashlib.sha256(b'no zip').hexdigest()}.zip", back)
    monkeypatch.setattr(_code, "LIMIT", 1000)
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack_code(stored_zip(store, {"bomb.py": bytes(100_000)}), back)
    assert not back.exists()
