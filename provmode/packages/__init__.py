"""Windows provisioning packages (.ppkg): what is in them, and which setting wins. Pure.

* `wanted`     which packages a PC should have, as the inventory says it
* `errors`      a package that cannot be read, and why
* `container/`  the file itself, a Windows image (WIM): its header, its files, their bytes, its signature
* `on_pc/`      reading packages of a PC: files, what was applied, policies

Private: programs import from `provmode.api`.
"""
