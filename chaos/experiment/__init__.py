"""From a file to a plan, or to all of its problems with their places; touches nothing of a stack."""
