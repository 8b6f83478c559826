"""Fast paths of training on a CPU."""
