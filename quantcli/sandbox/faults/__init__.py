"""Faults on demand: what a plan may say, when a rule strikes, and what is answered then."""
