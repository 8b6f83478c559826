"""What users look at: the terminal, the report page, pictures."""
