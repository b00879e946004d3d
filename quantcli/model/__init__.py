"""What exists: instruments, market data, orders, accounts, events.

Frozen structs without behaviour beyond arithmetic.  Nothing here does I/O, reads a clock or knows
who uses it.
"""
