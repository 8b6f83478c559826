"""The subcommands of `hpo`, a thin file each."""
