"""Other spellings of a list of numbers, rewritten into the one that the prompt asks for.

Language models wrap a list into a code fence, bold type or brackets, write one number a line, or end it with a comma.
`as_requested` undoes that. It rewrites only what can mean one thing; the parser refuses what is left. Every step takes
linear time.
"""

from __future__ import annotations

import re

__all__ = ["BLANKS", "as_requested", "plain_minus"]

BLANKS = " \t\r\n"
_BLANK = r"[ \t\r\n]"
_FENCE = re.compile(r"`{3,}+[A-Za-z][\w+#.-]*+[ \t]*+(?=[\r\n])", re.ASCII)  # an opening fence that names a language
_BRACKET = re.compile(r"[\[\]()]")
_ROW = re.compile(r"\[[^\[\]();]*+\]|\([^\[\]();]*+\)")
_ROWS = re.compile(rf"(?:{_ROW.pattern})(?:{_BLANK}*+[,;]?+{_BLANK}*+(?:{_ROW.pattern}))*+")
_SPACES = re.compile(r"[ \t]++")
_LINE_BREAK = re.compile(r" ?[\r\n][ \r\n]*+")
_MAYBE_DECIMAL_COMMA = re.compile(r"(?<![0-9.])[0-9]++,[0-9]++(?![0-9.])")
_NUMBERED = re.compile(r"1\.[ \t][^\r\n]*+[\r\n]++[ \t]*+2\.[ \t]")  # lines that begin with "1. " and "2. "
_ONE_LINE = str.maketrans("\r\n", "  ")


def as_requested(body: str, m: int = 1) -> str:
    """The text between the controls tags, rewritten into the requested list of rows of m numbers."""
    return _separated(_without_brackets(_trimmed(_without_markup(plain_minus(body)))), m)


def plain_minus(text: str) -> str:
    """The text with the minus sign of typesetting, U+2212, as the hyphen of the keyboard."""
    return text.replace("\u2212", "-")


def _without_markup(body: str) -> str:
    """The list without a Markdown code fence, backticks or asterisks around it."""
    body = body.strip(BLANKS + "*")
    fence = _FENCE.match(body)
    return body[fence.end() if fence else 0 :].strip(BLANKS + "*`")


def _trimmed(body: str) -> str:
    """The list without blanks around it and without one trailing separator."""
    body = body.strip(BLANKS)
    return body[:-1].rstrip(BLANKS) if body.endswith((",", ";")) else body


def _without_brackets(body: str) -> str:
    """``[1, 2]`` as ``1, 2`` and ``[[1, 2], [3, 4]]``, with outer brackets or without, as ``1, 2; 3, 4``."""
    inner = _trimmed(body[1:-1]) if body[:1] + body[-1:] in ("[]", "()") else body
    if not _BRACKET.search(inner):
        return inner
    for rows in (inner, body):
        if _ROWS.fullmatch(rows):
            return "; ".join(_trimmed(row[1:-1]).translate(_ONE_LINE) for row in _ROW.findall(rows))
    return body


def _separated(body: str, m: int) -> str:
    """The list with the requested separators: commas between numbers and, for m > 1, semicolons between rows.

    Line breaks separate rows. Other blanks separate numbers only in a list without any other separator between them, so
    that ``0. 10, 0.20`` stays refused. A list that may mean something else is left as it is: one whose lines may be
    numbered, and for one control one with commas that may be decimal commas (``0,10``) or with commas and semicolons,
    which are rows of several controls.
    """
    if _NUMBERED.match(body) or (m == 1 and "," in body and (";" in body or _MAYBE_DECIMAL_COMMA.search(body))):
        return body
    body = _LINE_BREAK.sub("\n", _SPACES.sub(" ", body))
    for mark in ",;":
        for blank in " \n":
            body = body.replace(blank + mark, mark).replace(mark + blank, mark)
    marked = "," in body or (m == 1 and ";" in body)
    row = "," if m == 1 else ";"
    body = body.replace("\n", row).replace(";", row)
    return body if marked else body.replace(" ", ",")
