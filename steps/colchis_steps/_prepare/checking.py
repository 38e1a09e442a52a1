"""What a template of the user's made, held against what it was to be made of; nothing it says is believed."""

from colchis_steps._data.dataset import open_data
from colchis_steps._data.validating.rules import RULES
from colchis_steps._data.validating.whole import sentence, validate
from colchis_steps._formats.data import DataManifest
from colchis_steps._step.errors import InputError


def check(uri: str, digest: str, before: DataManifest, prepare: str) -> DataManifest:
    """Return the manifest of the data set at the URI, all of whose rows were read.

    Raises:
        InputError: it is another one than the digest says, is not made of ``before``, lacks a split or spoils a model.
    """
    if not uri or not digest:
        raise InputError(f"{prepare} gave no data or no digest; let it write both outputs")
    made = open_data(uri)
    after = made.manifest
    if after.digest != digest:
        raise InputError(f"{prepare} gave {digest}, but {uri} is {after.digest}; let it give the digest of its data")
    parent = after.parent.data if after.parent else "no parent"
    if parent != before.digest:
        raise InputError(
            f"{uri} of {prepare} names {parent}, but was to be made of {before.digest}; import it with "
            "--parent and the data that the template was given"
        )
    if after.name == before.name:
        raise InputError(
            f"{prepare} made a set of the same name, {before.name}, which would be taken for the newest of those it "
            f"is made of; call it {before.name}-prepared"
        )
    for split, there in before.splits.items():
        if there.rows and not (split in after.splits and after.splits[split].rows):
            raise InputError(f"{uri} of {prepare} has no rows of {split}, and {before.name} has; make some")
    if wrong := sentence(validate(made.store, after, RULES).checks):
        raise InputError(f"what {prepare} made spoils a model: {wrong}")
    return after
