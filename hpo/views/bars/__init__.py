"""Bars on a terminal, beside the lines that stand without one."""
