"""Binance, natively: the dialect of its spot market, its streams, and how its book is put together."""
