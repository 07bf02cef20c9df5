"""Conducts a run: ledger first, then the world; never returns with a fault that it could still remove."""
