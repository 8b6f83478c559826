"""The choices of the architectures' hyperparameters, readable without torch."""

from __future__ import annotations

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")
PRETRAINED = ("none", "whole", "head")  # see models/vgg.py and models/libraries
STEMS = ("auto", "full", "small")  # of networks of libraries
