"""The settings of the commands for one network."""
