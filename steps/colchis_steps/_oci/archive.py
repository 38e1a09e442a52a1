"""Archives that others made: what is in them is counted before it is written, and nothing but plain files is taken.

A tar's headers say how large things are, and a compressed layer of a kilobyte can say terabytes. A sparse file needs
not even that: its holes are in no archive.
"""

import tarfile
from dataclasses import dataclass

from colchis_steps._step.errors import InputError

FILES = 100_000  # members of an image
NAMES = 1 << 20  # bytes of a header that extends another: long names and attributes
EXTENDED = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}


class Member(tarfile.TarInfo):
    """A member whose headers are bounded: tarfile reads an extending one into memory, however large it says it is."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("it holds a sparse file")
        if self.type in EXTENDED and not 0 <= self.size <= NAMES:
            raise tarfile.ReadError(f"a header of it has {self.size} bytes")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # the stubs leave it out
        return found


@dataclass
class Bound:
    """How much of an image is taken."""

    most: int  # bytes of all files together
    why: str  # where that number comes from
    count: int = 0
    taken: int = 0

    def see(self, member: tarfile.TarInfo, reference: str) -> None:
        """Count a member.

        Raises:
            InputError: there are too many, or this one is sparse.
        """
        self.count += 1
        if self.count > FILES:
            raise InputError(f"{reference} holds more than {FILES} files; give an image that build_image made")
        if member.issparse():
            raise InputError(f"{reference} holds the sparse file {member.name[:128]!r}; do not use this image")

    def take(self, member: tarfile.TarInfo, reference: str) -> None:
        """Count a file that is going to be written. Raises InputError where it is too much."""
        self.taken += member.size
        if self.taken > self.most or member.size < 0:
            raise InputError(
                f"{reference} unpacks to more than {self.most} bytes, {self.why}, by {member.name[:128]!r}; "
                "do not use this image"
            )
