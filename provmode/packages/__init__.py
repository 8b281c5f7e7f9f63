"""Windows provisioning packages (.ppkg): what is in them, and which setting wins. Pure.

* `wanted`     which packages a PC should have, as the inventory says it

Private: programs import from `provmode.api`.
"""
