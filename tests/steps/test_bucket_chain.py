"""The whole chain on a real MinIO, each step with its own key alone: nobody lacks a right that its step needs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from tests.cluster.beside import free_port
from tests.steps.onnx_made import linear
from tests.steps.test_bucket import people, secrets, setup

from colchis_steps._formats import keys

pytestmark = [pytest.mark.servers, pytest.mark.tensorflow, pytest.mark.timeout(600)]
QUICK = '{"epochs": 2, "global_batch": 64, "seed": 1, "learning_rate": 0.01}'


class Chain:
    """A store with all keys as files; a step runs with one of them and nothing else."""

    def __init__(self, url: str, files: dict[str, str], top: Path) -> None:
        self.url, self.top = url, top
        for name, file in files.items():
            (top / name).mkdir()
            (top / name / "credentials").write_text(file)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = plain | {
            "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLCHIS_HOME": str(top / "home"),
            "COLCHIS_PORT": str(free_port("127.0.0.1")),
        }

    def run(self, identity: str, step: str, *flags: str) -> "subprocess.CompletedProcess[str]":
        file = {"AWS_SHARED_CREDENTIALS_FILE": str(self.top / identity / "credentials")}
        command = [sys.executable, "-m", f"colchis_steps.{step}", *flags]
        return subprocess.run(command, env=self.environment | file, capture_output=True, text=True, check=False)

    def does(self, identity: str, step: str, *flags: str) -> str:
        done = self.run(identity, step, *flags)
        assert done.returncode == 0, f"{step} with the key {identity}: {done.stderr[-2000:]}"
        return done.stdout.strip()

    def step(self, identity: str, step: str, *flags: str, run: str = "r1") -> str:
        return self.does(identity, step, f"--store={self.url}", f"--run={run}", *flags)


@pytest.fixture
def chain(minio_url: str, aws: pytest.MonkeyPatch, tmp_path: Path) -> Chain:
    aws.setenv("AWS_ENDPOINT_URL", minio_url)
    url = f"s3://colchis-{uuid4().hex[:8]}/some/team"
    pods = setup(f"--store={url}")
    others = setup(f"--store={url}", "--identities=data,code,operator")
    (tmp_path / "keys").mkdir()
    return Chain(url, secrets(pods.stdout) | people(others.stdout), tmp_path / "keys")


@pytest.mark.long  # the cluster suite's chains go by these keys, too
def test_each_step_does_its_work_with_its_own_key(chain: Chain, tmp_path: Path) -> None:
    data = chain.does("data", "import_data", "digits", "--to", chain.url)
    code = tmp_path / "code"
    code.mkdir()
    (code / "mine.py").write_text("from colchis_steps.classifier import build\n")
    pushed = chain.does("code", "push_code", str(code), f"--store={chain.url}")
    image, version = tmp_path / "image", tmp_path / "version"
    for number, run in enumerate(("r1", "r2"), 1):  # the second has a baseline
        model = ["--model=digits"]
        seed = QUICK.replace('"seed": 1', f'"seed": {number}')
        chain.step("step", "validate_data", *model, f"--data={data}", run=run)
        trains = [
            f"--data={data}",
            f"--code={pushed}",
            "--entry=mine:build",
            "--workers=2",
            f"--hyperparameters={seed}",
        ]
        for _ in range(2):  # the second finds it done
            chain.step("worker", "train", *model, *trains, "--workers=2", run=run)
        chain.step("evaluate", "evaluate", *model, f"--data={data}", '--thresholds={"accuracy": {"min": 0.5}}', run=run)
        chain.step("publish", "upload", *model, "--plain-prefix=true", f"--version-path={version}", run=run)
        assert version.read_text() == str(number)
        pack = [f"--version={number}", f"--repository=oci:{tmp_path}/images", f"--image-path={image}"]
        chain.step("build", "build_image", *model, *pack, run=run)
        chain.step("publish", "register", *model, f"--version={number}", f"--image={image.read_text()}", run=run)
        chain.step("rollout", "rollout", *model, f"--version={number}", f"--image={image.read_text()}", run=run)
        chain.step("step", "report", "--status=Succeeded", f"--report-path={tmp_path}/report.html", run=run)
    try:
        chain.does("operator", "verify", f"--store={chain.url}")
        chain.does("operator", "gc", f"--store={chain.url}", "--dry-run")
        chain.does("operator", "doctor", f"--store={chain.url}", "--help")
        for identity, step in {"worker": "evaluate", "step": "upload", "evaluate": "train"}.items():
            wrong = chain.run(identity, step, f"--store={chain.url}", "--run=r3", "--model=digits", f"--data={data}")
            assert wrong.returncode == (2 if step == "upload" else 65), wrong.stderr[-500:]
        again = chain.run("worker", "upload", f"--store={chain.url}", "--run=r1", "--model=digits")
        assert again.returncode == 65
        assert re.search(r"denies PutObject of runs/r1/upload.json in s3://", again.stderr)
    finally:
        chain.does("rollout", "models", "stop")


def test_what_is_adopted_again_is_known_by_its_key(chain: Chain, tmp_path: Path) -> None:
    model = linear(tmp_path / "model.onnx", [[3.0, -3.0], [-3.0, 3.0]])
    for run in ("r1", "r2"):  # the second finds the first one's files
        found = [f"--{name}-path={tmp_path / name}" for name in ("verdict", "tree", "evaluation", "golden", "baseline")]
        chain.step("adopt", "adopt", "--model=sides", f"--source={model}", "--unjudged=true", run=run)
        chain.step("evaluate", "evaluate", "--model=sides", "--data=", *found, run=run)
        claims = [f"--{path.split('=')[0][2:-5]}={Path(path.split('=')[1]).read_text()}" for path in found[1:]]
        chain.step("publish", "upload", "--model=sides", *claims, f"--version-path={tmp_path}/version", run=run)
    assert (tmp_path / "version").read_text() == "1"


def test_a_training_that_rewrites_what_judges_it_ends_there(chain: Chain, tmp_path: Path) -> None:
    """C2 by way of the pipeline: code that makes its test split easy, and another model's record its own."""
    data = chain.does("data", "import_data", "digits", "--to", chain.url)
    place = data.removeprefix(chain.url + "/")
    bucket, prefix = chain.url.removeprefix("s3://").split("/", 1)
    admin = boto3.client("s3", aws_access_key_id="test-key", aws_secret_access_key="test-secret")
    record = f"{prefix}/{keys.record_key('faces', 1)}"
    admin.put_object(Bucket=bucket, Key=record, Body=b"right")
    code = tmp_path / "code"
    code.mkdir()
    (code / "evil.py").write_text(
        "import boto3\n"
        "from colchis_steps.classifier import build as good\n"
        "def build(context):\n"
        "    client, done = boto3.client('s3'), []\n"
        f"    for key in ('{prefix}/{place}/manifest.json', '{record}'):\n"
        "        for act, more in ((client.put_object, {'Body': b'evil'}), (client.delete_object, {})):\n"
        "            try:\n"
        f"                act(Bucket='{bucket}', Key=key, **more)\n"
        "                done.append(key)\n"
        "            except client.exceptions.ClientError as error:\n"
        "                print(f'refused: {error}')\n"
        "    if done:\n"
        "        raise SystemExit(f'written: {done}')\n"
        "    return good(context)\n"
    )
    pushed = chain.does("code", "push_code", str(code), f"--store={chain.url}")
    trains = [f"--data={data}", f"--code={pushed}", "--entry=evil:build", f"--hyperparameters={QUICK}"]
    chain.step("worker", "train", "--model=digits", *trains, f"--workdir={tmp_path}/work")
    log = (tmp_path / "work").glob("**/*.log")
    assert "".join(path.read_text() for path in log).count("refused: An error occurred (AccessDenied)") == 4
    assert admin.get_object(Bucket=bucket, Key=record)["Body"].read() == b"right"
    assert chain.step("step", "validate_data", f"--data={data}") == ""
