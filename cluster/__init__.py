"""Connecting to Ray, on this machine or a cluster."""
