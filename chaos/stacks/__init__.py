"""Stacks that come with the tool: data, beside the programs that they start."""
