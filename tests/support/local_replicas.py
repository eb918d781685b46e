"""Deployments in the test's own process, called as over a handle."""

import pickle
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from models.index.product_index import ProductIndex
from models.index.shapes import SearchAnswer

if TYPE_CHECKING:
    from deployments.handles import TracedQuery


class LocalHandle:
    """Calls methods of a deployment in this process; arguments are pickled as between processes."""

    def __init__(self, deployment: Any) -> None:
        self._deployment = deployment

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._deployment, name)

        def remote(*args: Any, **options: Any) -> Any:
            arrived_args, arrived_options = pickle.loads(pickle.dumps((args, options)))
            return method(*arrived_args, **arrived_options)

        return SimpleNamespace(remote=remote)


class LocalIndex:
    """The `Index` deployment over an index in memory; records the requests of its queries."""

    def __init__(self) -> None:
        self.products: ProductIndex | None = None
        self.version = ""
        self.request_ids: list[str] = []

    async def search(self, queries: "list[TracedQuery]") -> list[SearchAnswer]:
        assert self.products is not None
        self.request_ids += [traced.origin.request_id for traced in queries]
        assert all(traced.query.is_embedded for traced in queries)
        return [
            SearchAnswer("v1", self.products.search(traced.query), self.version)
            for traced in queries
        ]
