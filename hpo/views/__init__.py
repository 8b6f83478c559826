"""What is looked at: the terminal, the page of a run, pictures."""
