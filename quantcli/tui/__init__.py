"""The terminal screen: the state of a running bot, drawn, and the operator's words to it.

Stands on what travels over the bot's socket (`runtime.control.wire`) and knows nothing else of a bot: neither
the kernel nor the strategy nor the exchange.  `view`, `screens` and `dialogs` are plain functions of a
`Model`; `link` talks to the socket; `app` alone knows the terminal.
"""
