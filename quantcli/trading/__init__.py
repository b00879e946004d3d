"""What happens when an event arrives: strategies wish, risk admits, the portfolio counts.

Knows the kernel's public face; knows nothing of files, sockets or how time passes.
"""
