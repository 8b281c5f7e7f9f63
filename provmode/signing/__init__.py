"""Keys, and what they sign: plans, approvals and journals. No file is read here, and no random number is made.

* `keys`        the three kinds of key, and what a program is given of them
* `key_text`    keys as they stand in files, and what is refused there
* `canonical`   the bytes of a JSON document that are signed

The key that is given decides the algorithm, never the file that is checked.

Private: programs import from `provmode.api`.
"""
