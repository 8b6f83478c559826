"""The choices of the architectures' hyperparameters, readable without torch."""

from __future__ import annotations

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")
PRETRAINED = ("none", "whole", "head")  # of vgg16; see models/vgg.py
