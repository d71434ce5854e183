"""The error that a user can mend: a wrong flag, a damaged file, a full disk."""


class UserError(Exception):
    """Something the user gave is wrong; the message is one line that says what, where and what to do.

    Programs print the message alone and exit with status 1; everything else is a bug and keeps its traceback.
    """
