"""How a PC is changed, step by step: what each step does, how it is proved, how it is undone. Pure.

`steps` are values that can be written into a plan; `perform` turns one into a conversation that checks what is there,
changes it and reads it back; `comply` decides which steps a client needs, in which order.
"""
