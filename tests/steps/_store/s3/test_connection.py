"""The keys of the store as files: in AWS's format, and as the Secret of earlier releases mounts them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.steps.conftest import real_store

from colchis_steps._step.errors import InputError
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.connection import earlier_keys

pytestmark = pytest.mark.servers
KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}
FILE = "[default]\naws_access_key_id = test-key\naws_secret_access_key = {}\n"


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return real_store(request, "minio")


@pytest.fixture
def place(url: str, tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory where pods have their keys; the environment has none."""
    assert url  # made with keys
    for name in (*KEYS, "AWS_REGION", "AWS_DEFAULT_REGION"):
        aws.delenv(name, raising=False)
    aws.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    earlier_keys.cache_clear()
    yield tmp_path
    earlier_keys.cache_clear()


def write_and_list(url: str) -> None:
    store = open_store(url)
    assert store.create("runs/r/a.json", b"a")  # twice, by either library
    assert list(store.keys("runs/")) == ["runs/r/a.json"]
    assert store.read("runs/r/a.json") == b"a"


def test_a_mounted_file_has_the_keys(url: str, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    (place / "credentials").write_text(FILE.format("test-secret"))
    write_and_list(url)
    assert "upgrade.md" not in caplog.text


def test_the_secret_of_earlier_releases_is_read_with_one_warning(
    url: str, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (KEYS | {"AWS_REGION": "us-east-1"}).items():
        (place / name).write_text(value + "\n")
    write_and_list(url)
    assert open_store(url).read("runs/r/a.json") == b"a"
    assert caplog.text.count("the Secret colchis-s3 gives each step every right; docs/upgrade.md") == 1


def test_the_accounts_own_file_goes_before_it(url: str, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in KEYS.items():
        (place / name).write_text(value)
    (place / "credentials").write_text(FILE.format("wrong"))
    with pytest.raises(InputError, match="does not accept the credentials"):
        write_and_list(url)
    assert "upgrade.md" not in caplog.text


def test_without_either_it_is_said(url: str, place: Path) -> None:
    with pytest.raises(InputError, match="no credentials for s3://"):
        write_and_list(url)
