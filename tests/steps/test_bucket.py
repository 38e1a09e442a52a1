"""``bucket setup`` on a real MinIO: each identity can do what the table says and no more, and attacks end there."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from tests.steps._formats.test_identities import SAMPLES
from tests.steps.conftest import Front

from colchis_steps._doctor.keys import faults
from colchis_steps._formats import keys
from colchis_steps._formats.identities import IDENTITIES, credentials, may
from colchis_steps._step.errors import InputError
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.making import lifecycle
from colchis_steps.bucket import PODS, identities, main

ROOT = Path(__file__).parents[2]
PEOPLE = [name for name, found in IDENTITIES.items() if not found.pods]
pytestmark = pytest.mark.servers


@pytest.fixture
def url(minio_url: str, aws: pytest.MonkeyPatch) -> str:
    """Where a bucket is to be; the environment has an administrator's keys."""
    aws.setenv("AWS_ENDPOINT_URL", minio_url)
    return f"s3://colchis-{uuid4().hex[:8]}/some/team"


def setup(*flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "colchis_steps.bucket", "setup", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def secrets(output: str) -> dict[str, str]:
    """Return the files of keys in Secrets' YAML, by identity."""
    found = list(yaml.safe_load_all(output))
    assert all(one["data" if "data" in one else "stringData"].keys() == {"credentials"} for one in found)
    return {one["metadata"]["name"].removeprefix("colchis-s3-"): one["stringData"]["credentials"] for one in found}


def people(output: str) -> dict[str, str]:
    """Return the files of keys in profiles, by identity."""
    found = (part for part in output.split("[colchis-") if part.strip())
    return {part.partition("]")[0]: f"[default]{part.partition(']')[2]}" for part in found}


@pytest.fixture
def made(url: str) -> tuple[str, dict[str, str]]:
    """A store with all identities, and their files of keys."""
    done = setup(f"--store={url}")
    assert done.returncode == 0, done.stderr
    more = setup(f"--store={url}", f"--identities={','.join(PEOPLE)}")
    assert more.returncode == 0, more.stderr
    return url, secrets(done.stdout) | people(more.stdout)


def client_of(file: str) -> Any:
    words = dict(line.split(" = ") for line in file.splitlines() if " = " in line)
    return boto3.session.Session().client("s3", **words)


def allowed(act: Callable[..., object], **given: Any) -> bool:
    try:
        act(**given)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"AccessDenied", "403"}:
            return False
        raise
    return True


def test_each_identity_can_do_what_the_table_says_and_nothing_else(made: tuple[str, dict[str, str]]) -> None:
    url, files = made
    assert files.keys() == IDENTITIES.keys()
    bucket, prefix = url.removeprefix("s3://").split("/", 1)
    admin = boto3.client("s3")
    for place in (f"{prefix}/", "other/"):
        for key in SAMPLES:
            admin.put_object(Bucket=bucket, Key=place + key, Body=b"before")
    wrong = []
    for name in IDENTITIES:
        client = client_of(files[name])
        for place in (f"{prefix}/", "other/"):
            for key in SAMPLES:
                named = {"Bucket": bucket, "Key": place + key}
                tried = {
                    "get": allowed(client.get_object, **named),
                    "put": allowed(client.put_object, Body=b"after", **named),
                    "delete": allowed(client.delete_object, **named),
                }
                must = {verb: place != "other/" and may(name, verb, key) for verb in tried}
                wrong += [(name, verb, place + key) for verb in tried if tried[verb] is not must[verb]]
                if tried["delete"]:
                    admin.put_object(**named, Body=b"before")
    assert wrong == []


def test_the_doctor_finds_by_calls_that_write_nothing_what_holds_and_what_does_not(
    made: tuple[str, dict[str, str]],
) -> None:
    url, files = made
    bucket, prefix = url.removeprefix("s3://").split("/", 1)
    for name in PODS:
        assert faults(name, bucket, prefix, files[name]) == [], name
    found = faults("worker", bucket, prefix, files["operator"])
    assert any(one.startswith("it may put blobs/doctor-") for one in found)
    assert any(one.startswith("it may not put runs/doctor-") for one in faults("worker", bucket, prefix, files["step"]))
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=bucket)
    assert "Versions" not in boto3.client("s3").list_object_versions(Bucket=bucket)


def test_the_trainings_key_cannot_do_what_the_attack_did(made: tuple[str, dict[str, str]]) -> None:
    """C2: user code rewrote its test split, another model's record and alias, and a blob."""
    url, files = made
    bucket, prefix = url.removeprefix("s3://").split("/", 1)
    admin, client = boto3.client("s3"), client_of(files["worker"])
    victims = {
        "test split": "data/digits/0123/test-0000.npz",
        "data manifest": "data/digits/0123/manifest.json",
        "another model's record": keys.record_key("faces", 3),
        "manifest": keys.manifest_key("faces", 3),
        "alias": keys.alias_key("faces", "stable"),
        "blob": keys.blob_key("a" * 64),
        "verdict": keys.result_key("r", "evaluate"),
        "golden rows": keys.golden_key("r"),
        "confirmation": keys.confirmed_key("r"),
        "code": keys.code_key("b" * 64),
    }
    for key in victims.values():
        admin.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=b"right")
    own = f"{prefix}/{keys.candidate_blob_key('r', 'a' * 64)}"
    client.put_object(Bucket=bucket, Key=own, Body=b"evil")
    for what, key in victims.items():
        named = {"Bucket": bucket, "Key": f"{prefix}/{key}"}
        assert not allowed(client.put_object, Body=b"evil", **named), what
        assert not allowed(client.copy_object, CopySource={"Bucket": bucket, "Key": own}, **named), what
        assert not allowed(client.delete_object, **named), what
        assert not allowed(client.create_multipart_upload, **named), what
        assert admin.get_object(**named)["Body"].read() == b"right"
    versions = admin.list_object_versions(Bucket=bucket, Prefix=f"{prefix}/models/")
    assert "DeleteMarkers" not in versions
    assert not allowed(client.list_objects_v2, Bucket=bucket, Prefix=f"{prefix}/models/")
    assert not allowed(client.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert not allowed(client.delete_bucket_lifecycle, Bucket=bucket)


def test_it_may_run_again_and_gives_new_keys_when_asked(url: str) -> None:
    first = setup(f"--store={url}", "--identities=worker,step")
    again = setup(f"--store={url}", "--identities=worker,step")
    assert (again.returncode, again.stdout) == (0, "")
    assert "is there and keeps its key; --rotate gives it another" in again.stderr
    bucket = url.removeprefix("s3://").partition("/")[0]
    named = {"Bucket": bucket, "Key": "some/team/runs/r/training/a"}
    assert allowed(client_of(secrets(first.stdout)["worker"]).put_object, Body=b"", **named)
    other = setup(f"--store={url}", "--identities=worker", "--rotate")
    assert secrets(other.stdout).keys() == {"worker"}
    assert allowed(client_of(secrets(other.stdout)["worker"]).put_object, Body=b"", **named)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client_of(secrets(first.stdout)["worker"]).put_object(Body=b"", **named)
    told = first.stderr + again.stderr + other.stderr
    held = [line.split(" = ")[1] for file in secrets(first.stdout).values() for line in file.splitlines()[2:] if line]
    assert held
    assert not [one for one in held if one in told], "a key never reaches the log"


def test_a_new_bucket_has_versions_a_lifecycle_and_locks_an_old_one_keeps_others_rules(url: str) -> None:
    assert setup(f"--store={url}", "--identities=step").returncode == 0
    bucket, client = url.removeprefix("s3://").partition("/")[0], boto3.client("s3")
    assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]["ObjectLockEnabled"]
    old = f"old-{uuid4().hex[:8]}"
    client.create_bucket(Bucket=old)
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
    client.put_bucket_lifecycle_configuration(Bucket=old, LifecycleConfiguration={"Rules": [theirs]})
    for _ in range(2):
        done = setup(f"--store=s3://{old}/team", "--identities=step")
        assert done.returncode == 0
        assert f"bucket {old} cannot lock records, as it was made without" in done.stderr
    rules = client.get_bucket_lifecycle_configuration(Bucket=old)["Rules"]
    assert sorted(rule["ID"] for rule in rules) == sorted(["theirs", *(rule["ID"] for rule in lifecycle("team"))])


def test_a_record_that_is_locked_cannot_be_removed_by_any_key_of_ours(
    made: tuple[str, dict[str, str]], tmp_path: Path, aws: pytest.MonkeyPatch
) -> None:
    url, files = made
    bucket, prefix = url.removeprefix("s3://").split("/", 1)
    (tmp_path / "credentials").write_text(files["publish"])
    key, alias = keys.record_key("digits", 1), keys.alias_key("digits", "latest")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        patch.setenv("COLCHIS_S3_LOCK_DAYS", "1")
        store = open_store(url)
        assert store.create(key, b"first")
        store.write(alias, b"moves")
        patch.setenv("COLCHIS_S3_LOCK_DAYS", "soon")
        with pytest.raises(InputError, match="COLCHIS_S3_LOCK_DAYS='soon' is no number of days"):
            store.create(keys.record_key("digits", 2), b"")
    admin = boto3.client("s3")
    (version,) = admin.list_object_versions(Bucket=bucket, Prefix=f"{prefix}/{key}")["Versions"]
    named = {"Bucket": bucket, "Key": f"{prefix}/{key}"}
    for name in ("worker", "publish", "operator"):
        with pytest.raises(ClientError):
            client_of(files[name]).delete_object(VersionId=version["VersionId"], **named)
        assert not allowed(
            client_of(files[name]).delete_object,
            VersionId=version["VersionId"],
            BypassGovernanceRetention=True,
            **named,
        )
    assert admin.get_object(VersionId=version["VersionId"], **named)["Body"].read() == b"first"
    assert "ObjectLockMode" not in admin.head_object(Bucket=bucket, Key=f"{prefix}/{alias}")


def test_the_sample_is_the_lifecycle_of_a_store_without_a_prefix() -> None:
    sample = json.loads((ROOT / "workflows/manifests/samples/bucket-lifecycle.json").read_text())
    assert sample == {"Rules": lifecycle()}


def test_on_aws_it_makes_users_policies_and_keys(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["setup", f"--store=s3://{bucket}/team", "--server=aws", "--identities=worker,publish"]
    assert main(flags) == 0
    found = secrets(capsys.readouterr().out)
    assert found.keys() == {"worker", "publish"}
    iam, name = boto3.client("iam"), f"colchis-{bucket}-team-worker"
    (key,) = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert key["AccessKeyId"] in found["worker"]
    (attached,) = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    assert attached["PolicyName"] == name
    assert main(flags) == 0
    assert capsys.readouterr().out == "", "it keeps its keys"
    assert len(iam.list_policy_versions(PolicyArn=attached["PolicyArn"])["Versions"]) == 1
    assert main([*flags, "--rotate"]) == 0
    (other,) = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert other["AccessKeyId"] != key["AccessKeyId"]


def test_policies_alone_are_printed_and_nothing_is_made(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["setup", f"--store={url}", "--policies", "--server=aws", "--identities=worker"]) == 0
    (document,) = json.loads(capsys.readouterr().out).values()
    assert document["Statement"][0]["Effect"] == "Allow"
    assert url.removeprefix("s3://").partition("/")[0] not in {
        one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"]
    }


def test_what_is_wrong_is_one_sentence(
    url: str, aws: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, front: Front
) -> None:
    def refused(words: str, *flags: str, code: int = 65) -> None:
        caplog.clear()
        assert main(["setup", *flags]) == code
        assert words in caplog.text

    refused("is a directory, which has no keys", "--store=file:///tmp/x")
    refused("'B' is not a bucket's name", "--store=s3://B")
    refused("users cannot be named", f"--store={url}", f"--name={'x' * 70}")
    front(lambda environ: (404, "NoSuchKey: x") if "/minio/admin/" in environ["PATH_INFO"] else None)
    refused("as a MinIO does; print the policies by --policies", f"--store={url}")
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    refused("no answer from http://127.0.0.1:9", f"--store={url}", code=75)


def test_one_who_is_no_administrator_is_told_so(made: tuple[str, dict[str, str]], aws: pytest.MonkeyPatch) -> None:
    url, files = made
    words = dict(line.split(" = ") for line in files["operator"].splitlines() if " = " in line)
    environment = os.environ | {name.upper(): value for name, value in words.items()}
    command = [sys.executable, "-m", "colchis_steps.bucket", "setup", f"--store={url}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 65
    assert "give the keys of an administrator" in done.stderr or "grant s3:" in done.stderr
    assert words["aws_secret_access_key"] not in done.stderr


@pytest.mark.parametrize("text", ["", "nobody", "worker,operator"])
def test_odd_identities_are_a_usage_error(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        identities(text)


def test_a_file_of_keys_that_is_none_is_said(made: tuple[str, dict[str, str]]) -> None:
    url, _ = made
    bucket, prefix = url.removeprefix("s3://").split("/", 1)
    for text in ("", "rubbish", "[default]\naws_access_key_id = a\n"):
        with pytest.raises(InputError, match="no file of AWS's format"):
            faults("worker", bucket, prefix, text)
    with pytest.raises(InputError, match="does not accept the credentials"):
        faults("worker", bucket, prefix, credentials("nobody", "wrong-secret"))
