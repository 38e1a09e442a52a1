"""A layer of a model image, as documents list it."""

from colchis_steps._formats.documents import Part


class Layer(Part):
    """A layer of a model image: one file."""

    path: str
    digest: str
    size: int
    media_type: str
    diff_id: str = ""  # of a compressed layer: the digest of its tar

    @property
    def uncompressed(self) -> str:
        """The digest of the layer's tar."""
        return self.diff_id or self.digest
