"""One network at a time: training, evaluation and use; and the reproduced baselines."""
