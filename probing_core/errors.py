"""The one error a user can mend, and the nearest right name to offer with it."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line that names the culprit and the remedy.

    The command line prints the message alone and exits with code 2.
    """

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback: IPython asks for it by this name."""
        return [f"error: {self}"]


class RunFailed(Exception):
    """A notebook raised or the book did not build; the command line exits with code 1."""


def nearest(name: str, options: Iterable[str]) -> str:
    """A sentence such as ``Did you mean 'quick'?``; when nothing is close, the first options."""
    names = list(options)
    folded = {option.lower(): option for option in names}
    close = [folded[m] for m in difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)]
    close = close or [o for o in names if len(name) > 2 and name.lower() in o.lower()][:3]
    if close:
        return f"Did you mean {' or '.join(repr(option) for option in close)}?"
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"Known: {shown}."
