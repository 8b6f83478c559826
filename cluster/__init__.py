"""Connects to Ray, on this machine or on a cluster, and submits runs to clusters."""
