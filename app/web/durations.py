"""Stretches of time for people: two units at most, the smaller one dropped where it says nothing."""

from app.texts import Texts


def duration(seconds: float, texts: Texts) -> str:
    """``seconds`` as people say it: "84 ms", "0.84 s", "3 min 20 s", "5 h 10 min", "2 d 3 h"."""
    if seconds < 0.1:
        return texts.text("web.time.ms", milliseconds=f"{seconds * 1000:.2g}")
    if seconds < 10:
        return texts.text("web.time.s", seconds=f"{seconds:.2g}" if seconds < 1 else f"{seconds:.1f}")
    if seconds < 59.5:
        return texts.text("web.time.s", seconds=str(round(seconds)))
    for code, upper, lower in (("min", 60, 1), ("h", 3600, 60), ("d", 86400, 3600)):
        if seconds < {"min": 3600, "h": 86400, "d": float("inf")}[code] - lower / 2:
            whole, rest = divmod(round(seconds / lower) * lower, upper)
            return texts.text(f"web.time.{code}", whole=int(whole), rest=int(rest // lower))
    raise AssertionError(seconds)
