"""Removes the marker that a prompt asks the model to put before its answer."""

from __future__ import annotations

import re


def strip_marker(answer: str, name: str) -> str:
    """The answer without one leading `[name]:` and without white space around it.

    Models vary the marker: its case, its spaces, `[name]` without a colon, `name:` without brackets, a list item, a
    heading, bold with the colon inside or outside. All of these are removed at the start of the answer; the same text
    elsewhere is content and stays. DPL's released code removes the exact marker only.
    """
    marker = rf"""
        [-\#\s]* (?P<bold>[*_]*)
        (?: \[\s*{name}\s*\] (?: \s*[:：]\s*(?P=bold) | (?P=bold)\s*[:：]? )
          | {name} (?: \s*[:：]\s*(?P=bold) | (?P=bold)\s*[:：] ) )
    """
    found = re.match(marker, answer, re.IGNORECASE | re.VERBOSE)
    return answer[found.end() if found else 0 :].strip()
