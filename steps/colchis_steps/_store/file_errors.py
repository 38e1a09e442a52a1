"""What the errors of a file system mean to a person, for a store in a directory."""

import contextlib
import errno
from collections.abc import Iterator

from colchis_steps._step.errors import InputError, TransientError

AWAY = {errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH}


@contextlib.contextmanager
def explained(url: str, key: str) -> Iterator[None]:
    """Raise the system's errors about the object with this key in the store as ours."""
    try:
        yield
    except PermissionError as error:
        raise InputError(f"no permission to use {key} in {url}; give this user the right") from error
    except (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        what = f"{key} cannot be in {url} ({error.strerror}: {error.filename2 or error.filename})"
        raise InputError(f"{what}; clear what is in the way, or give another store") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InputError(f"the store {url} is full; free space there, or give another store") from error
        if error.errno == errno.EROFS:
            raise InputError(f"the store {url} is read-only; give one that can be written") from error
        if error.errno in AWAY:
            text = f"the store {url} does not answer ({error.strerror}); look at its mount, then try again"
            raise TransientError(text) from error
        raise
