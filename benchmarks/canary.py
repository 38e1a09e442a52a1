"""Race `canary`: how many bad answers users get before a bad canary is taken back, and how many good ones are refused.

Cases `simulated-*` judge simulated traffic, thousands of times; cases `real-*` roll models out on a cluster that go
wrong once they have traffic, while users ask. The simulation's rival `no-analysis` moves traffic by the clock alone,
and somebody notices after ten minutes.

Reads   --case, --trials, --runs
Writes  benchmarks/results/canary.json     medians, and the table on stdout

Fields: bad (answers that users got, median), bad_p95, wall_s (seconds until nobody gets one any more, median), refused
(share of the canaries).
"""

import argparse
import math
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks._table import Row, row, table, write

from colchis_steps._rollout.canary import GLANCE, PACE, shares
from colchis_steps._rollout.judge import Answer, Judge, Tolerances, verdict

STEPS = (10, 30)  # per cent, below 100
USERS = 50.0  # requests a second
MOVE = 3.0  # seconds for a gateway to follow
NOTICED = 600.0  # seconds until somebody sees what no analysis sees
CLASSES = 10
SLOW = 0.01  # seconds of an answer


@dataclass(frozen=True)
class Canary:
    """How a canary behaves: shares of requests, and a factor on the latency."""

    errors: float = 0.0
    slower: float = 1.0
    drift: float = 0.0  # answers class 8 instead
    other: float = 0.02  # answers another class, as another training does
    crafted: float = 0.0  # requests a second of somebody who knows what either version fails on
    aimed: bool = False  # these name the canary
    late: bool = False  # it goes wrong with the first user that reaches it

    @property
    def bad(self) -> float:
        """Return the share of its answers that a user would call bad."""
        return 1.0 if self.slower >= 2 else max(self.errors, self.drift)


CANARIES = {
    "errors": Canary(errors=0.2),
    "latency": Canary(slower=2.0),
    "drift": Canary(drift=0.3),
    "errors-late": Canary(errors=0.2, late=True),
    "latency-late": Canary(slower=2.0, late=True),
    "drift-late": Canary(drift=0.3, late=True),
    "good": Canary(errors=0.002),
    "crafted": Canary(errors=0.002, crafted=20.0),
    "crafted-aimed": Canary(errors=0.002, crafted=20.0, aimed=True),
    "crafted-errors": Canary(errors=0.2, crafted=20.0),
    "tolerated": Canary(errors=0.01, slower=1.5, other=0.1),  # just so: where a test errs most
}
REAL = ("errors", "latency", "drift", "crash", "oom", "crash-loop", "never-ready", "good")


def answered(chance: random.Random, canary: Canary) -> tuple[Answer, Answer]:
    """Return a pair of answers; latencies have a long tail."""
    label = chance.randrange(CLASSES)
    stable = Answer(ok=True, seconds=SLOW * chance.lognormvariate(0, 0.3), labels=(label,))
    if chance.random() < canary.errors:
        return Answer(ok=False, error="status 500"), stable
    if chance.random() < canary.drift:
        label = 8
    elif chance.random() < canary.other:
        label = (label + 1 + chance.randrange(CLASSES - 1)) % CLASSES
    return Answer(ok=True, seconds=SLOW * canary.slower * chance.lognormvariate(0, 0.3), labels=(label,)), stable


def simulated(chance: random.Random, canary: Canary, seconds: float) -> tuple[bool, float, float]:
    """Roll a canary out; say whether it is refused, the bad answers that users got, and how long they did."""
    refused, time = glanced(chance, canary)
    bad = 0.0
    if refused:
        return True, bad, time
    shown, weights = unseen(canary), shares(STEPS)
    for weight in weights:
        judge, said, began = Judge(Tolerances(), len(weights) + 1, [range(CLASSES)]), "", time
        while not said or (said == "pass" and time - began < seconds):
            one, other = answered(chance, shown)
            judge.pair(one, other)
            took = one.seconds + other.seconds + PACE
            if canary.crafted and int(time + took) > int(time):
                judge.served(*looked(chance, weight / 100, canary))
            users = USERS * took * weight / 100
            if chance.random() < 1 - math.exp(-users):  # one at least came to it
                shown = canary
            bad += users * shown.bad
            time += took
            if (said := verdict(judge.findings())) == "fail":
                return True, bad + USERS * MOVE * weight / 100 * shown.bad, time + MOVE
    return False, bad + USERS * (NOTICED - time) * canary.bad, NOTICED


def unseen(canary: Canary) -> Canary:
    """Return how a canary behaves before users reach it."""
    return Canary(other=canary.other) if canary.late else canary


def glanced(chance: random.Random, canary: Canary) -> tuple[bool, float]:
    """Ask before users reach the canary; say whether it is refused, and how long that took."""
    judge, said, time = Judge(Tolerances(), len(shares(STEPS)) + 1, [range(CLASSES)]), "", 0.0
    while time < GLANCE and not said:
        one, other = answered(chance, unseen(canary))
        judge.pair(one, other)
        time += one.seconds + other.seconds + PACE
        said = verdict(judge.findings())
    return said == "fail", time


def looked(chance: random.Random, share: float, canary: Canary) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return requests and failures of canary and stable in a second in which users and somebody else ask."""
    calm = sum(chance.random() < share for _ in range(int(USERS)))
    # who names the canary is led to stable, and a request that names a version counts for neither
    sent = 0 if canary.aimed else int(canary.crafted)
    crafted = sum(chance.random() < share for _ in range(sent))
    own = sum(chance.random() < canary.errors for _ in range(calm))
    stable = sent - crafted
    return (calm + crafted, own + crafted), (int(USERS) - calm + stable, stable)


def by_the_clock(canary: Canary, seconds: float) -> tuple[bool, float, float]:
    """Return what a rollout without analysis comes to until somebody notices."""
    first = sum(USERS * seconds * weight / 100 for weight in STEPS)
    return False, (first + USERS * (NOTICED - seconds * len(STEPS))) * canary.bad, NOTICED


def told(case: str, contender: str, found: Sequence[tuple[bool, float, float]]) -> Row:
    """Return the row of a case."""
    bad = sorted(one[1] for one in found)
    made = row(case, contender, [{"wall_s": took, "bad": answers} for _, answers, took in found])
    refused = statistics.mean(one[0] for one in found)
    return made | {"bad_p95": round(bad[int(0.95 * (len(bad) - 1))], 1), "refused": round(refused, 4)}


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(prog="benchmarks.canary", description=(__doc__ or "").partition("\n")[0])
    names = [f"simulated-{name}" for name in CANARIES] + [f"real-{name}" for name in REAL]
    p.add_argument("--case", action="append", choices=names, help="default: the simulated ones")
    p.add_argument("--trials", type=int, default=3000, metavar="N", help="simulated canaries of a case (3000)")
    p.add_argument("--runs", type=int, default=5, metavar="N", help="real canaries of a case (5)")
    p.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of a step, at least (3)")
    p.add_argument("--seed", type=int, default=7, metavar="N", help="of the simulation (7)")
    p.set_defaults(names=names)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases."""
    args = parser().parse_args(argv)
    rows: list[Row] = []
    chosen = [case.partition("-") for case in args.case or args.names if args.case or case.startswith("simulated-")]
    if faults := [name for kind, _, name in chosen if kind == "real"]:
        from benchmarks._canary_real import real  # it needs a cluster

        found = real(faults, args.runs, args.seconds)
        rows += [told(f"real-{fault}", "colchis", runs) for fault, runs in found.items()]
    for name in [name for kind, _, name in chosen if kind == "simulated"]:
        case = f"simulated-{name}"
        print(case, file=sys.stderr, flush=True)
        chance, canary = random.Random(args.seed), CANARIES[name]  # noqa: S311 - no secret
        rows.append(told(case, "colchis", [simulated(chance, canary, args.seconds) for _ in range(args.trials)]))
        rows.append(told(case, "no-analysis", [by_the_clock(canary, args.seconds)]))
    write("canary", rows)
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
