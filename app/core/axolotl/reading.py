"""The run that a configuration under examination is read as, for rules that ask what it does."""

from app.core.axolotl.run_reader import read_run
from app.core.axolotl.subject import Subject
from app.core.errors import InvalidInput
from app.core.run import Run


def as_read(subject: Subject) -> Run | None:
    """None where something in it cannot be, of which other rules speak."""
    try:
        return read_run(subject.config)
    except InvalidInput:
        return None
