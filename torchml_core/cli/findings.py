"""What an inspection found: facts, notes and problems, and how they are printed."""

import textwrap

from torchml_core.errors import TorchMLError

NAME_WIDTH, LINE_WIDTH = 20, 100


class Findings:
    """Facts in the order in which they were found; notes, which are not problems; and problems."""

    def __init__(self):
        self._facts = []
        self.notes = []
        self.problems = []

    def fact(self, name, value):
        """Record a fact; a value of several lines, or a list of texts, keeps its lines."""
        lines = value if isinstance(value, list) else [str(value)]
        self._facts.append((name, lines))

    def attempt(self, function, *args, **kwargs):
        """Return the function's result; if it raises one of our errors, add a problem instead."""
        try:
            return function(*args, **kwargs)
        except TorchMLError as error:
            self.problems.append(str(error))
            return None

    def lines(self):
        """Return the lines to print."""
        for name, values in self._facts:
            for place, value in enumerate(values or ["-"]):
                head = name if place == 0 else ""
                yield from _wrapped(f"{head:<{NAME_WIDTH}}", value)
        for note in self.notes:
            yield from _wrapped(f"{'note':<{NAME_WIDTH}}", note)
        for problem in self.problems:
            yield f"problem: {problem}"
        n = len(self.problems)
        yield "nothing wrong found" if n == 0 else f"{n} problem{'' if n == 1 else 's'} found"


def _wrapped(head, text):
    """One text on as many lines as it needs, indented under its head; long names stay whole."""
    return textwrap.wrap(
        text,
        LINE_WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
