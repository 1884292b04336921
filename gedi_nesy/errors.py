"""What a user can cause and mend: the command line prints the sentence and exits with 1."""


class UserError(ValueError):
    """One sentence that says what is wrong, where, and how to mend it."""
