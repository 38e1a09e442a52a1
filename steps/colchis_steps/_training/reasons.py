"""Why the user's code or model failed, as a part of one sentence: the cause, and where in the user's files it lies."""

import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LENGTH = 512  # characters of a message
FRAMES = 3  # of the user's files, the last ones
KERAS = re.compile(
    r"Exception encountered when calling ([^\n]*?)\.\s*\n+\s*(.*?)(?:\n\s*\nArguments received by|\Z)", re.S
)
TRACED = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
NOISE = ("Graph execution error", "Detected at", "Additional GRPC", " ", "\t", ":", "<")


def raised(error: Exception, function: Callable[..., Any] | None) -> str:
    """Return what was raised, and in which lines of the user's files (else the innermost line)."""
    frames = traceback.extract_tb(error.__traceback__)
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    home = Path(getattr(module, "__file__", None) or "/nowhere/module.py").parent
    theirs = [f for f in frames if Path(f.filename).is_relative_to(home)] or [
        f for f in frames if not _is_installed(f.filename)
    ]
    lines = [f"{Path(f.filename).name}, line {f.lineno}" for f in (theirs or frames[-1:])[-FRAMES:]]
    if isinstance(error, SyntaxError) and error.filename:
        lines = [f"{Path(error.filename).name}, line {error.lineno}"]
    where = f" ({'; '.join(dict.fromkeys(lines))})" if lines else ""
    return f"raised {type(error).__name__}: {cause(str(error))}{where}; correct the code and push it again"


def reason(error: Exception) -> str:
    """Return what TensorFlow's or Keras's message says is wrong; most of it is a traceback, as text."""
    text = ESCAPES.sub("", str(error))
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("in user code"):
        frames = [f for f in TRACED.findall(text) if not _is_installed(f[0])][-FRAMES:]
        where = "; ".join(dict.fromkeys(f"{Path(name).name}, line {line}" for name, line, _ in frames))
        found = cause(text if KERAS.search(text) else re.split(r"\n\s*\n", text.strip())[-1])
        return f"{found} ({where})" if where else found
    if KERAS.search(text):
        return cause(text)
    return " ".join(next((line for line in lines if not line.startswith(NOISE)), lines[0]).split())[:LENGTH]


def cause(message: str) -> str:
    """Return a message on one line, without what Keras wraps around it layer by layer."""
    text, layer = ESCAPES.sub("", message), ""
    while found := KERAS.search(text):
        layer, text = found[1], found[2]
    text = " ".join(text.split())[:LENGTH]
    return f"{text} (in {layer})" if layer else text


def _is_installed(name: str) -> bool:
    ours = str(Path(__file__).parents[1])
    return name.startswith((sys.prefix, sys.base_prefix, "<frozen", "<__auto", ours)) or "/__autograph" in name
