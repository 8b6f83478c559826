"""Data, the training step and its accelerators: torch alone, so that it runs where there is nothing else."""
