"""The error that a user can cause."""


class InputError(Exception):
    """Bad input or option: the message names file or option and the reason, in one line."""
