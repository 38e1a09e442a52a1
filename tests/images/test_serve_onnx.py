"""The image ``serve-onnx`` has what the model server and ``unpack`` import, and above all no TensorFlow."""

import re
from pathlib import Path

import pytest
from tests.images.imported import modules

ROOT = Path(__file__).parents[2]
DOORS = ("serve", "unpack")
PACKAGES = {"awscrt": "botocore[crt]", "backports": "backports-zstd", "google": "protobuf", "grpc": "grpcio"}
LOADED = {"httptools", "uvloop"}  # by uvicorn, where they are there


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Return the packages outside of the standard library that the doors import, in functions too."""
    tops = {name.partition(".")[0] for name in modules(*DOORS)} - {"colchis_steps"}
    return {PACKAGES.get(top, top.replace("_", "-")) for top in tops}


def asked() -> set[str]:
    text = (ROOT / "requirements/serve-onnx.in").read_text()
    return {name.replace(".", "-") for name in re.findall(r"^[\w.-]+(?:\[\w+\])?", text, re.MULTILINE)}


def test_the_list_is_what_the_server_and_unpack_import(imported: set[str]) -> None:
    assert asked() - {"botocore[crt]"} == (imported | LOADED) - {"botocore", "botocore[crt]"}
    assert "botocore[crt]" in asked()


def test_the_lock_is_small_and_has_no_tensorflow() -> None:
    locked = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements/serve-onnx.txt").read_text(), re.MULTILINE))
    assert {name.partition("[")[0] for name in asked()} <= locked
    assert not locked & {
        "tensorflow",
        "tensorflow-cpu",
        "keras",
        "h5py",
        "pyarrow",
        "kubernetes",
        "cryptography",
        "sympy",
    }
