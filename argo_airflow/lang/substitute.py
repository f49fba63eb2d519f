"""Template tags ``{{name}}`` in a text (Argo: util/template/simple_template.go)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# as fasttemplate does it: a tag reaches from a `{{` to the next `}}`, whatever stands between
_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True)
class Tag:
    """A tag: its name without surrounding blanks, and how it was written (``{{ name }}``)."""

    name: str
    raw: str

    @property
    def expression(self) -> bool:
        """Whether it is ``{{=expr}}``; ``{{ =x}}`` is not (Argo: util/template/kind.go)."""
        return self.raw.startswith("{{=")

    @property
    def nested(self) -> bool:
        """Whether another tag opens inside it."""
        return "{{" in self.name


def split(text: str) -> tuple[str | Tag, ...]:
    """The text as literal pieces and tags, in order; joined again (tags by ``raw``) they give ``text``."""
    parts: list[str | Tag] = []
    end = 0
    for match in _TAG.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(Tag(match[1].strip(), match[0]))
        end = match.end()
    if end < len(text):
        parts.append(text[end:])
    return tuple(parts)


def tags(text: str) -> Iterator[Tag]:
    """The tags of a text."""
    return (part for part in split(text) if isinstance(part, Tag))


def substitute(text: str, lookup: Callable[[str], str | None]) -> str:
    """Replace each tag whose name ``lookup`` knows, in one pass: values are never scanned for tags again.

    What ``lookup`` answers None to stays as written, blanks included.
    """

    def replace(part: str | Tag) -> str:
        if isinstance(part, str):
            return part
        value = lookup(part.name)
        return part.raw if value is None else value

    return "".join(map(replace, split(text)))
