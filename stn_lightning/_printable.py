"""Texts of strangers, such as the names of their files, as a terminal may have them."""

from __future__ import annotations


def printable(text: object) -> str:
    """A text in which what a terminal would obey is escaped: control characters, and those that turn its direction."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
