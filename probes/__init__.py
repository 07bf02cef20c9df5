"""Probes for Chaos Toolkit experiments: each measures one fact and answers with plain data, or raises.

`slo` reads the load of the run in progress; the others do one real flow of their own, with a user of their own.
"""
