"""Corpora of recordings in, task datasets out."""

__version__ = "0.1.0"
