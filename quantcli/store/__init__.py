"""What must survive a crash: intents, order states and fills, in memory and in SQLite.

Knows rows and transactions; decides nothing.
"""
