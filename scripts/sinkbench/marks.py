"""The mark of a number that was measured while something else was at work, and what captions say of it."""

DAGGER = "\N{DAGGER}"
DAGGER_NOTE = (
    "Dagger: something disturbed the device or its host meanwhile; a speed-up has it from either of its runs."
)
