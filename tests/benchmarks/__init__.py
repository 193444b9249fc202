"""Benchmarks: what the server costs, on this machine. ``python -m tests.benchmarks --help``."""
