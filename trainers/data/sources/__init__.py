"""Where images come from: folders, archives, and data sets by name."""
