"""What is known of each exchange, as data: what it promises, how it spells ids, what its errors mean.

Nothing here talks to an exchange.  The facts stand in `manifests/*.toml`, each with its source.
"""
