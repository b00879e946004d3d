"""What Binance's spot market answers: one function for each endpoint, and the table that names them."""
