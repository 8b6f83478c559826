"""The headings under which `--help` lists the flags; the most used ones, and --help, come first."""

from __future__ import annotations

from cyclopts import Group

OPTIONS = Group("Options", sort_key=1)
SEARCH = Group("Search", sort_key=2)
DATA = Group("Data", sort_key=3)
HYPERPARAMETERS = Group("Hyperparameters", sort_key=4)
TRAINING = Group("Training", sort_key=5)
RESOURCES = Group("Resources", sort_key=6)
FINALS = Group("Finals", sort_key=7)
OUTPUT = Group("Output", sort_key=8)
