"""Write a CSV of made-up messages to a help desk, each with the team that it is for; seeded, so always the same."""

import csv
import random
import sys
from pathlib import Path

ROWS = 1200
TEAMS = {
    "billing": ["invoice", "refund", "payment", "charged twice", "credit card", "receipt"],
    "shipping": ["parcel", "delivery", "courier", "tracking number", "address", "late package"],
    "technical": ["login", "error message", "crash", "password", "update", "slow app"],
}
FRAMES = [
    "hello, I have a question about my {}",
    "my {} is wrong, please help",
    "nobody has answered me about the {} and the {}",
    "can you tell me where my {} is?",
    "the {} does not work since {}",
    "thanks for the quick help with the {}!",
]
DAYS = ["monday", "tuesday", "yesterday", "last week", "this morning"]


def rows(seed: int = 7) -> list[tuple[str, str]]:
    """Return pairs of message and team."""
    random_ = random.Random(seed)  # noqa: S311 - made-up data
    found = []
    for _ in range(ROWS):
        team = random_.choice(list(TEAMS))
        frame, words = random_.choice(FRAMES), TEAMS[team]
        message = frame.format(random_.choice(words), random_.choice(DAYS if "since" in frame else words))
        found.append((f"{message} ({random_.choice(DAYS)}, {random_.randint(1, 9999)})", team))
    return found


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("message", "team"))
        writer.writerows(rows())
