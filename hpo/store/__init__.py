"""What is on disk or in a database: the files of a run, and how they are read."""
