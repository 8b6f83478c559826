"""Data sets, images and their augmentation."""
