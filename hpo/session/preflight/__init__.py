"""What is found out and refused before anything starts."""
