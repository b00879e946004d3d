"""What comes through ccxt: signing for Binance; markets and market data of those we do not speak natively.

`transport` is the one module that imports it.
"""
