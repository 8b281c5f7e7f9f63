"""What the container says of a package: its own XML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from xml.etree.ElementTree import Element

from provmode.packages.errors import damaged
from provmode.packages.xml import first, read_xml, text_of

_EPOCH = datetime(1601, 1, 1, tzinfo=timezone.utc)
_GUID = re.compile(r"\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True)
class Image:
    """What the container says of the package in it. A text is empty if the container does not say it."""

    id: str
    name: str
    version: str
    description: str
    author: str
    altitude: str
    created: datetime | None
    modified: datetime | None
    notes: dict[str, str]
    """What the designer notes, by names in lower case: ``version``, ``source``, ``signpackage``."""

    def flag(self, name: str) -> bool | None:
        """Return a note that is true or false; ``None`` if it is neither."""
        return {"true": True, "false": False}.get(self.notes.get(name, "").lower())


def read_image(xml: str) -> Image:
    """Return what *xml*, a container's own, says.

    Raises:
        PackageUnreadable: it cannot be read.
    """
    image = first(read_xml(xml, "its own XML"), "IMAGE")
    if image is None:
        raise damaged("its own XML describes no image")
    notes = (note.partition("=") for note in text_of(image, "NOTES").split(";"))
    return Image(
        id=normal_id(text_of(image, "PACKAGEID")),
        name=text_of(image, "NAME"),
        version=text_of(image, "VERSION"),
        description=text_of(image, "DESCRIPTION"),
        author=text_of(image, "AUTHOR"),
        altitude=text_of(image, "ALTITUDE"),
        created=_moment(first(image, "CREATIONTIME")),
        modified=_moment(first(image, "LASTMODIFICATIONTIME")),
        notes={name.strip().lower(): value.strip() for name, equals, value in notes if equals},
    )


def normal_id(text: str) -> str:
    """Return an id in lower case and braces; a text that is not an id as it is."""
    found = _GUID.fullmatch(text.strip())
    return f"{{{found[1].lower()}}}" if found else text.strip()


def number(text: str) -> int | None:
    """Return *text* as a whole number; ``None`` if it is not one, or has over nine digits."""
    return int(text) if _NUMBER.fullmatch(text) else None


def _moment(element: Element | None) -> datetime | None:
    """Return a time that is given as a FILETIME in two halves."""
    try:
        high, low = (int(text_of(element, name), 16) for name in ("HIGHPART", "LOWPART"))
        return _EPOCH + timedelta(microseconds=((high << 32) + low) // 10)
    except (ValueError, OverflowError):
        return None
