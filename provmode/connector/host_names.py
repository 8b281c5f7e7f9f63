"""Names of PCs that could be taken for other names: blanks, invisible characters, letters that look like others. Pure.

Names of Windows PCs can have letters of any script. A name in one script is accepted, one that mixes scripts is not.
"""

from __future__ import annotations

import unicodedata

from provmode.errors import UsageError

_TOGETHER = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "KATAKANA-HIRAGANA"})
"""Scripts that are written together, and whose letters do not look alike."""
_LOOK_ALIKE = str.maketrans("авгекморстухіјѕԁԛԝнαβεζηικμνορτυχ", "abrekmopctyxijsdqwhabezhikmnoptyx")
"""Small letters of other scripts, and the ASCII letters that they look like, small or as capitals."""


def spelling(name: str) -> str:
    """Return what all spellings of one name have in common: case, width and composition do not count."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def look(name: str) -> str:
    """Return what all names have in common that look alike."""
    return spelling(name).translate(_LOOK_ALIKE)


def check_host_name(name: str) -> None:
    """Refuse a name that a reader could take for another.

    Raises:
        UsageError: names the character.
    """
    if name.isascii() and name.isprintable() and " " not in name:
        return  # one script, and every character can be seen
    for character in name:
        if character.isspace():
            raise _refused(name, character, "is a blank")
        if not character.isprintable():
            raise _refused(name, character, "cannot be seen")
        plain = unicodedata.normalize("NFKC", character)
        if not character.isascii() and plain.isascii():
            raise _refused(name, character, f"looks like {plain}")
    for label in name.split("."):
        letters = [character for character in label if character.isalpha()]
        scripts = {_script(letter) for letter in letters}
        if len(scripts) > 1 and not scripts <= _TOGETHER:
            strange = next(letter for letter in letters if _script(letter) not in _TOGETHER)
            raise _refused(name, strange, "is of another script than the letters beside it")


def _script(letter: str) -> str:
    """Return the script of a letter: the first word of its Unicode name."""
    return unicodedata.name(letter, "UNNAMED").split(" ")[0]


def _refused(name: str, character: str, why: str) -> UsageError:
    what = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
    return UsageError(f"the host name {name!a} has {what}, which {why}", next_step="type the name anew")
