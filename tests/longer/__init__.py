"""Suites that take longer than a coffee: resumable, outside `make test`."""
