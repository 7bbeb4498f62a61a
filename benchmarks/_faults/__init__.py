"""Faults that are injected into real runs: a module for each kind, which lists its ``FAULTS``."""
