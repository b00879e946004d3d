"""Wiring, and two ways of passing time: replay jumps, live waits."""
