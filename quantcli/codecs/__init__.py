"""The wire formats of exchanges, sans-I/O: bytes in, events out.

Nothing here opens a socket, reads a clock or knows what becomes of an event.
"""
