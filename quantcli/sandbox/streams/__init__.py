"""What is told on websockets: sessions, the streams of the market and of the account, and the ws-api."""
