"""Fast paths of training on a GPU, and what a trial takes of one."""
