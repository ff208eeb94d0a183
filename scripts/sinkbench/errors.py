"""The one exception that means "the user can mend this": a single readable line, never a traceback."""


class UserError(Exception):
    """Bad input. The message names the file, key or value and says what is allowed."""


class Unavailable(UserError):
    """A variant cannot run on this machine or with this model; its row is marked so and the study goes on."""
