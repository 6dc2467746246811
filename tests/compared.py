"""Small networks that are compared, and the penalty between them, also written slowly."""

import math

import numpy as np
import torch
from torch import nn

from at_train.losses import AntiTransfer

CLOSE = {"rtol": 1e-9, "atol": 1e-12}  # float64 against numpy


def plain(channels=4, *, inplace=False, seed=0):
    """A plain CNN: convolution, ReLU, convolution, ReLU, classifier; `1` and `3` are its ReLUs."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * 4, 3),
    ).double()


def batch(items=3, size=6, seed=9):
    return torch.randn(items, 1, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def penalty_of(model, frozen, x, layers=("3",), **settings):
    penalty = AntiTransfer(frozen, list(layers), **settings).watch(model)
    model(x)
    return penalty(x)


def slow_penalty(ours, theirs, beta=1.0):
    """Equations 1 and 2 for each item, then the mean over items."""
    values = []
    for a, b in zip(ours, theirs, strict=True):
        grams = []
        for item in (a, b):
            rows = [channel.ravel() for channel in item]
            grams.append(np.array([[np.dot(x, y) for y in rows] for x in rows]).ravel())
        lengths = math.sqrt(np.dot(grams[0], grams[0])) * math.sqrt(np.dot(grams[1], grams[1]))
        values.append(beta * (np.dot(grams[0], grams[1]) / lengths) ** 2)
    return np.mean(values)
