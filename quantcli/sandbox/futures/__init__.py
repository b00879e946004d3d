"""What Binance's USD-M futures answer, where that differs from spot: account, orders, streams, shapes."""
