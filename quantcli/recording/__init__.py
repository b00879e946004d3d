"""The outside world, remembered: market data in Parquet, written, verified, read back in order.

Knows files and columns; knows nothing of orders, strategies or the kernel.
"""
