"""Durations as Argo and Kubernetes write them."""

from colchis_workflows._argo.errors import InputError


def seconds(duration: str) -> float:
    """Read a duration of Argo's: seconds, or a number with s, m, h or d."""
    factors = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, factor = (duration[:-1], factors[duration[-1]]) if duration[-1:] in factors else (duration, 1)
    try:
        return float(number) * factor
    except ValueError as error:
        raise InputError(f"duration {duration!r} is not one like 30, 30s, 5m or 1h; write it so") from error
