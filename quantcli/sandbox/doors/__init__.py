"""The sockets of the sandbox, and what faults do to them; the one room here that waits."""
