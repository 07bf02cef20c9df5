"""Frozen values that cross a border between rooms; no I/O and no clock."""
