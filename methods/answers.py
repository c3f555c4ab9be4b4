"""What a model puts before an answer that it was asked to mark."""

from __future__ import annotations

import re


def strip_marker(answer: str, name: str) -> str:
    """The answer without one leading `[name]:`, and without white space around it.

    Models vary the marker: case, spaces, `[name]` without a colon, `name:` without brackets, as a list item or a
    heading, in bold with the colon inside or outside. Whatever stands elsewhere or differently is content and stays.
    DPL's released code takes off the exact marker only.
    """
    marker = rf"""
        [-\#\s]* (?P<bold>[*_]*)
        (?: \[\s*{name}\s*\] (?: \s*[:：]\s*(?P=bold) | (?P=bold)\s*[:：]? )
          | {name} (?: \s*[:：]\s*(?P=bold) | (?P=bold)\s*[:：] ) )
    """
    found = re.match(marker, answer, re.IGNORECASE | re.VERBOSE)
    return answer[found.end() if found else 0 :].strip()
