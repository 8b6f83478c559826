"""What runs on a Ray worker: trials, alone or as groups, on one process or several."""
