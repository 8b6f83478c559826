"""The variables with which Ray and Tune are started. A user can override each of them."""

from __future__ import annotations

# Ray's processes read these when they start, and Tune reads them when it runs.
# (RAY_AUTH_MODE is not here: a cluster may have no token. A Ray of our own asks for one, for its ports are open on
# every interface: own_ray/starting.py.)
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's memory monitor ends the whole Tune run, because its exception is no actor error. Without the monitor the
    # kernel kills one worker, which is an ordinary failure of one trial.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    # What a network prints is kept up to this size for each worker and stream, and once more in an older file.
    "RAY_ROTATION_MAX_BYTES": "5000000",
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Podium's own handler ends the run, and remembers that it was asked to
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's state files are not used: a resumed run reads the journal
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
