"""Many trials trained as one network."""
