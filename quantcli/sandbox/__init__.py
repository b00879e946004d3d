"""The imagined exchange behind a real socket, speaking a real exchange's wire protocol.

The matching is the simulation's; what is here are Binance's APIs of spot and USD-M futures around it: their
parameters, signatures, limits, JSON and streams.  Knows market data, orders and the wire; knows nothing of
the kernel, of strategies or of our own live venue: whoever calls is a stranger.
"""
