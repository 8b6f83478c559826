"""Optuna and Ray Tune: which configurations are tried, and which trials are stopped."""
