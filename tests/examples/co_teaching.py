"""A training loop of one's own: two networks teach each other to leave out labels that look wrong.

hpo run --model lenet5 --dataset digits --trainer tests/examples/co_teaching.py:CoTeaching --range forget=0:0.3
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F


class CoTeaching:
    """Each network learns from the images that have the smallest losses for the other one (Han et al., 2018)."""

    def __init__(self, make_model: Any, data: Any, config: Any, *, forget: float = 0.1) -> None:
        self.networks = [make_model().to(config.device) for _ in range(2)]
        self.model = self.networks[0]
        self.optimizers = [torch.optim.AdamW(network.parameters(), config.lr) for network in self.networks]
        self.data, self.batch_size, self.forget = data.train, config.batch_size, forget

    def train_epoch(self) -> tuple[float, float]:
        total = right = 0.0
        for network in self.networks:
            network.train()
        for batch in torch.randperm(len(self.data), device=self.data.labels.device).split(self.batch_size):
            images, labels = self.data.at(batch), self.data.labels[batch]
            logits = [network(images) for network in self.networks]
            losses = [F.cross_entropy(each, labels, reduction="none") for each in logits]
            kept = max(2, round((1 - self.forget) * len(batch)))
            chosen = [each.detach().argsort()[:kept] for each in losses]
            sum(each[others].mean() for each, others in zip(losses, reversed(chosen), strict=True)).backward()
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()
            total += losses[0].sum().item()
            right += (logits[0].argmax(1) == labels).sum().item()
        return total / len(self.data), right / len(self.data)

    def save(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in (*self.networks, *self.optimizers)]}

    def load(self, state: dict[str, Any]) -> None:
        for part, saved in zip((*self.networks, *self.optimizers), state["parts"], strict=True):
            part.load_state_dict(saved)
