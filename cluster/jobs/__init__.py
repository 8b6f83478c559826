"""Runs as jobs of a cluster: what travels there, how it is started and followed, and how its results come back."""
