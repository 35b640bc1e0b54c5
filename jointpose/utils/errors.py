"""The exception for errors that a user can correct."""


class InputError(Exception):
    """Bad input or a bad option: one line that names the file or option and the reason.

    Scripts print it without a traceback and end with exit code 2.
    """
