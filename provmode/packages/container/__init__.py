"""The file of a provisioning package: a Windows image (WIM) of one part with one image.

* `source`        where bytes come from: ranges of a file, of memory, of a file on a PC
* `header`        the first 208 bytes, and where they say that things are
* `resource`      a stretch of the file, stored or packed, unpacked within limits
* `xpress`        the one compression that packages use
* `tree`          the names of the files in it
* `wim`           all of these together: `open_container`
* `signature`     by whom a package is signed, whether it is intact, when; and whether a PC trusts it
* `signed_data`   what a signature is made of (PKCS#7)
* `certificates`  certificates and what their keys signed; by `cryptography`
* `der`           the encoding of both

Layouts are those of Microsoft's "Windows Imaging File Format (WIM)" paper; XPRESS is [MS-XCA] 2.2. Bytes are hostile:
every count, size and place is checked before it is used, and what costs work is limited. Only the header, the table of
contents, the tree and the files that are asked for are read, so a package of 1 GB costs no more than a small one.
"""

from provmode.packages.container.signature import Signature, signature_of, trusted
from provmode.packages.container.source import Source, of_bytes
from provmode.packages.container.wim import Container, FileEntry, open_container

__all__ = ["Container", "FileEntry", "Signature", "Source", "of_bytes", "open_container", "signature_of", "trusted"]
