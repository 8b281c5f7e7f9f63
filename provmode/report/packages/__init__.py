"""Provisioning packages, for people and for programs.

* `files`           packages in files as text: what is in one, and what is wrong with it
* `files_compared`  the same for several: what two differ in, which value holds
* `files_document`  both as JSON, and its schema
* `fleet`           the packages of a fleet as text, folded by what is the same
* `fleet_document`  the same as JSON, and its schema

Private: programs import from `provmode.api`.
"""
