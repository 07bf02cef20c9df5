"""The embedded staging stack: a small, right meetings-and-documents backend to aim faults at.

Each node is a stand-alone program (`python -m chaos.stacks.embedded.store --port N`), so this package
imports nothing of the tool and stays light: eleven of them start within three seconds on two cores.
"""
