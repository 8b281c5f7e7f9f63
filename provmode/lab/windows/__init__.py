"""The modelled Windows behind the lab's WinRM server: registry, files, services, processes, CIM, a ConfigMgr client.

Behaviour follows Microsoft's documents, else field reports; an assumption is marked as one in its docstring. Nothing
here knows WS-Management, and nothing is shared with the client side of provmode.
"""
