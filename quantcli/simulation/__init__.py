"""The outside world, imagined: an exchange that matches our orders against recorded market data.

Knows market data, orders and the published rules of real exchanges; knows nothing of the kernel or
of strategies.  Time is given to it, randomness is seeded.
"""
