"""A running bot seen and steered from outside: what travels, who serves it, who asks.

Nothing here trades; what an operator wants done is handed to the trading loop.
"""
