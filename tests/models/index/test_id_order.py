"""Ranks of rows by id, against sorting."""

import numpy as np

from models.index.id_order import IdOrder
from models.index.text_table import TextTable


def test_ranks_order_rows_by_their_ids() -> None:
    random = np.random.default_rng(0)
    names = [f"{number:03}" for number in range(0, 300, 3)]
    order, appended = IdOrder(TextTable.of(names), 104), list[str]()
    for step in range(200):
        appended.append(f"{random.integers(0, 310):03}")
        order.append(appended[-1])
        if step == 150:
            appended = appended[::2]
            order.renumber(appended)
        if step % 20 == 0:
            rows = np.concatenate([np.arange(100), 104 + np.arange(len(appended))])
            ids = np.array([*names, *appended])
            ranks = order.ranks(rows)
            assert len(set(ranks.tolist())) == len(ranks)
            assert ids[np.argsort(ranks)].tolist() == sorted(ids.tolist())
            for name in ("", "000", "1505", appended[0], "999"):
                assert ((ranks >= order.rank_after(name)) == (ids > name)).all()
