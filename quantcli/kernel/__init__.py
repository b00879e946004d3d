"""What should happen to an order: from a durable wish to an exchange that agrees.

The core decides without awaiting, reading a clock or drawing a random number; the shell commits, then
sends.  Knows nothing of strategies, market data, or of which exchange answers.
"""
