"""The command line: flags, subcommands, and what they print."""
