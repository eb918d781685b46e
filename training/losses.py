"""Contrastive losses with several positives in a row, and with pairs that are ignored."""

import torch


def multi_positive(
    logits: torch.Tensor, relation: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean over rows of the cross-entropy against the row's positives, equally weighted.

    logits: (n, m); relation: (n, m) int8, 1 positive, -1 negative, 0 ignored. Rows without a
    positive are ignored. smoothing: the share of the target that all other pairs divide.
    """
    counted, positive = relation != 0, (relation == 1).float()
    rows = positive.sum(1) > 0
    if not bool(rows.any()):
        return logits.sum() * 0.0
    logits, counted, positive = logits[rows], counted[rows], positive[rows]
    log_share = torch.log_softmax(logits.masked_fill(~counted, -1e4), dim=1)
    target = positive / positive.sum(1, keepdim=True)
    if smoothing:
        spread = counted.float() / counted.sum(1, keepdim=True)
        target = (1.0 - smoothing) * target + smoothing * spread
    return -(target * log_share.masked_fill(~counted, 0.0)).sum(1).mean()


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """The NT-Xent loss of two views of n garments, each (n, dim) unit vectors."""
    vectors = torch.cat([first, second])
    logits = vectors @ vectors.T / temperature
    logits = logits.masked_fill(torch.eye(len(vectors), dtype=torch.bool), -1e4)
    count = len(first)
    target = torch.cat([torch.arange(count, 2 * count), torch.arange(count)])
    return torch.nn.functional.cross_entropy(logits, target)


def supervised_contrastive(
    vectors: torch.Tensor, labels: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Supervised contrastive loss: (n, dim) unit vectors, (n,) integer labels."""
    relation = torch.where(labels[:, None] == labels[None], 1, -1).to(torch.int8)
    relation.fill_diagonal_(0)
    return multi_positive(vectors @ vectors.T / temperature, relation)
