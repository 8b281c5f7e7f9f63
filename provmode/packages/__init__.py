"""Windows provisioning packages (.ppkg): what is in them, and which setting wins. Pure.

Private: programs import from `provmode.api`.
"""
