"""The answer to a client whose request is not served."""


class Refused(Exception):  # noqa: N818 - an answer to a client, which never ends the server
    """A request that gets a 4xx or 5xx status and one sentence; 408, 429 and 503 also say when to ask again."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
