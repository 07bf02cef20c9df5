"""Chaos engineering for collaboration backends: declarative faults, real clients, a verdict with proof."""

__version__ = "0.1.0"
