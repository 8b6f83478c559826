"""The Optuna study of a run, in SQLite or on a server."""
