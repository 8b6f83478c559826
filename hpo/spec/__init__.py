"""What can be asked for: the settings of a study, and the spaces that it searches."""
