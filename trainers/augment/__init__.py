"""Augmentation of whole batches on their device; each image has its own random numbers."""
