"""How to speak to a collaboration server as one of its clients: one file per protocol."""
