"""`python -m tests.benchmarks.uploader FOLDER…`: what `apply` does to the bundles of a release, all at once.

Prints as JSON the seconds that packing and uploading take alone, once the digests are known and the SDK is loaded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from orchestrator.app.bundles import digest_all
from orchestrator.app.services import open_services
from orchestrator.app.uploads import Uploads, place_of
from orchestrator.bundle.source import open_source
from orchestrator.core.concurrent import both, map_limited
from orchestrator.core.model import BundleSource, Concurrency, Location

HERE = Location(region="eu-west-1")


async def upload(sources: Sequence[BundleSource]) -> None:
    bundles = {source: open_source(source) for source in sources}
    async with open_services([HERE], near=False) as services:
        store = services.stores[HERE]
        opened, _ = await both(lambda: digest_all(bundles), lambda: store.look_at_bucket("releases"))
        uploads = Uploads(services.stores, tell=print)

        async def one(source: BundleSource) -> None:
            place = place_of(source, opened[source], source.path.name, HERE)
            stored = await uploads.ensure(opened[source], place)
            await services.codedeploys[HERE].register(source.path.name, stored.revision(opened[source].bundle), "bench")

        began = time.perf_counter()
        await map_limited(one, sources, limit=Concurrency().uploads)
        print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    folders = [Path(folder).absolute() for folder in sys.argv[1:]]
    anyio.run(upload, [BundleSource(path=folder, bucket="releases", prefix="bundles") for folder in folders])
