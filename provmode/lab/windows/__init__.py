"""The modelled Windows behind the lab's WinRM server: registry, files, services, processes, CIM, a ConfigMgr client.

Behaviour follows Microsoft's documents; where they are silent, field reports; where those are, the docstring says so.
Nothing here knows WS-Management, and nothing is shared with the client side of provmode.
"""
