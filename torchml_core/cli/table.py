"""Tables of text."""


def aligned(rows, *, left=False):
    """Yield rows of text, each column as wide as needed; the first or all are left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [
            text.ljust(width) if left else text.rjust(width)
            for text, width in zip(others, widths[1:], strict=True)
        ]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()
