"""What a hyperparameter may be: the spaces of the architectures, and how a user changes them."""
