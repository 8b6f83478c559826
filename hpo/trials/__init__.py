"""Trials as plain values: what was asked for, what came of it, how they rank. Pure: no files, no processes."""
