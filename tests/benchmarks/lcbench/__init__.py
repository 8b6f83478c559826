"""Searches on LCBench: strategies in simulated time, on a network that knows the learning curves of 34 tasks."""
