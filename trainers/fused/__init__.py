"""Fused trials: networks of one shape that are trained as one network."""
