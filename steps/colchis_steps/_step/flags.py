"""Values and flags that several steps take."""

import argparse
import os
import re

COMMAND = "COLCHIS_COMMAND"  # what the user typed for a module, as `colchis` sets it: MODULE=colchis VERB

OPERATION = r"[A-Za-z_][A-Za-z0-9_>.]{0,127}"  # the name of an operation of TensorFlow's


def prog(module: str) -> str:
    """Return what a step's help calls it: ``colchis VERB`` where that was typed, else ``python -m MODULE``."""
    named, _, typed = os.environ.get(COMMAND, "").partition("=")
    return typed if named == module and typed else f"python -m {module}"


def boolean(text: str) -> bool:
    """Parse the flag values ``true`` and ``false``; Argo's parameters are strings."""
    if text not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text[:128]!r} is neither true nor false")
    return text == "true"


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text[:128]!r} is not a whole number of at least 1")
    return int(text)


def operations(text: str) -> tuple[str, ...]:
    """Parse names of TensorFlow's operations, such as ``ReadFile,WriteFile``; an empty text is none."""
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else ()
    if not all(re.fullmatch(OPERATION, name, re.ASCII) for name in names):
        raise argparse.ArgumentTypeError(f"{text[:128]!r} are not names of operations; write for example ReadFile")
    return names


def run_id(text: str) -> str:
    """Parse a run's id: one part of a key, as what may be written is told by the parts after it."""
    if not text or "/" in text:
        raise argparse.ArgumentTypeError(f"{text[:64]!r} is not a run's id; give one without '/'")
    return text


def run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that each step of a run has: where the store is and which run this is."""
    parser.add_argument("--store", required=True, metavar="URL", help="s3://bucket/prefix or file:///directory")
    parser.add_argument(
        "--run", required=True, type=run_id, metavar="ID", help="the run's id; the same one again resumes"
    )


def model_name(text: str) -> str:
    """Parse a model's name: a DNS label of at most 40 characters, as hosts and resources are named after it."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"{text[:128]!r} is not a model name; use 1 to 40 lower case letters, digits and '-', "
            "with no '-' at either end"
        )
    return text


def model_version(text: str) -> tuple[str, int | None]:
    """Parse MODEL or MODEL:N; without a number the version is None."""
    name, colon, number = text.partition(":")
    if colon and not (number.isascii() and number.isdecimal() and int(number)):
        raise argparse.ArgumentTypeError(f"{text[:128]!r} is neither MODEL nor MODEL:N")
    return model_name(name), int(number) if colon else None
