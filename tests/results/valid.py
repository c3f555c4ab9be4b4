"""Checks that a page is valid HTML: it parses strictly, ids are unique, and every reference to an id has its target."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

import html5lib


def document(page: str) -> Element:
    """The root element, names without namespace. Raises where a browser would have to guess what is meant."""
    root: Element = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    elements = list(root.iter())
    ids = Counter(found for element in elements if (found := element.get("id")) is not None)
    assert [name for name, count in ids.items() if count > 1] == []
    for element in elements:
        for target in (element.get("for"), (element.get("href") or "").removeprefix("#")):
            assert not target or target in ids, target
        assert element.tag != "img" or element.get("alt")
    assert (root.findtext("head/title") or "").strip()
    assert root.get("lang")
    return root
