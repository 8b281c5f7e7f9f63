"""Waivers: which findings are known, who answers for them, and until when. Pure.

* `model`   one waiver, a file of them, and when each ends
* `words`   the text of a file as waivers, and every mistake in it
* `match`   which waiver covers which finding, and what there is to say of each
* `adding`  a waiver more in the text of a file, and not a byte of it changed

A waiver never keeps a PC from being looked at, and never makes one compliant. A new key of the file is a field of
`model.Waiver` and a row of `words.KEYS`.

Private: programs import from `provmode.api`.
"""
