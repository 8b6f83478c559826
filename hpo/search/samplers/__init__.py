"""Podium's own sampler."""
