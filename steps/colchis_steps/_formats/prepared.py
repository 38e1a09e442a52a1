"""Documents of data that a command of the user's makes of others."""

from colchis_steps._formats.data import Parent
from colchis_steps._formats.documents import Document


class Prepared(Document, tag="colchis.dev/prepared/v1"):
    """What a command made: the index of data that were prepared, and what goes from one part of the step to the next.

    ``uri`` is relative to the store where it lies in there, and empty while nothing is made.
    """

    parent: Parent
    uri: str = ""
    digest: str = ""  # of the data set at ``uri``
