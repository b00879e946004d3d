"""The asynchronous shell in virtual time: a loop (`virtual_loop`), stand-ins (`ports`), engines (`world`)."""
