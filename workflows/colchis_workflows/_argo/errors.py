"""What ends ``colchis`` with a sentence instead of a traceback; the steps have such errors of their own."""


class CommandError(Exception):
    """The one sentence that a user reads: what is wrong, with values; what to do."""

    exit_code = 1


class UsageError(CommandError):
    """The command line asks for something that is not there."""

    exit_code = 2


class InputError(CommandError):
    """A file, a template or its use here is wrong: trying again changes nothing."""

    exit_code = 65


class TransientError(CommandError):
    """The cluster is away, busy or late: trying again may help."""

    exit_code = 75
