"""Hostile data files, as they are made: a module for each kind, which lists its ``FILES``."""
