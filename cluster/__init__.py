"""Connects to Ray, on this machine or on a cluster, and submits runs to clusters."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that Podium's packages are in."""
