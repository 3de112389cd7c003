"""Packing and uploading over a far S3 (`slow_s3.py`: TLS, 30 ms, 40 MB/s a connection) beside `aws deploy push`.

Whole commands on both sides, from their start to their end. For twenty bundles ours are the ones that `apply` does to
bundles (`uploader.py`), in one process.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import os
import random
import shutil
import ssl
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import trees
from .figures import Figure
from .processes import ORCHESTRATOR, PYTHON, ROOT, Usage, clean_environment, measure

LATENCY, CONNECTION = 0.03, 40.0
"""Seconds a round trip; MB/s."""
MB = 1_000_000
SHARED = 100.0
"""MB/s of all connections together, where the link is the limit."""
ROUNDS = 3
PART = "    packing, uploading, registering"
BUNDLES, PROCESSES = 20, 8
MEMORY, GOAL = 220.0, 150


@dataclass(frozen=True, slots=True)
class Far:
    """A running S3, and what leads commands to it."""

    url: str
    certificate: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CA_BUNDLE": self.certificate,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "XDG_CACHE_HOME": os.devnull,  # every run digests anew
        }

    def stats(self) -> Mapping[str, int]:
        context = ssl.create_default_context(cafile=self.certificate)
        with urllib.request.urlopen(f"{self.url}/stats", context=context) as answer:  # noqa: S310 - our own server
            found: dict[str, int] = json.load(answer)
        return found


@contextmanager
def far(total: float = 0.0) -> Iterator[Far]:
    """`total`: MB/s of all connections together; 0: no limit."""
    options = json.dumps({"latency": LATENCY, "connection": CONNECTION, "total": total})
    process = subprocess.Popen(
        [PYTHON, "-m", "tests.benchmarks.slow_s3", options],
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield Far(f"https://127.0.0.1:{said['port']}", said["certificate"])
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@dataclass
class Ours:
    """What our commands took."""

    usages: list[Usage] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(usage.elapsed for usage in self.usages)

    @property
    def cpu(self) -> float:
        return statistics.median(usage.cpu for usage in self.usages)

    @property
    def peak(self) -> float:
        return max(usage.peak for usage in self.usages)


def figures(folder: Path) -> Iterator[Figure]:
    aws = os.environ.get("ORCHESTRATOR_TEST_AWS") or shutil.which("aws")
    if aws is None:
        yield Figure(name="uploading", value=None, beside="no aws command to compare with")
        return
    peaks: list[float] = []
    parts = (_mixed(folder / "mixed", aws), _dense(folder / "dense", aws), _twenty(folder / "twenty", aws))
    for figure, ours in itertools.chain.from_iterable(parts):
        peaks.append(ours.peak)
        yield figure
    yield Figure(name="peak memory of all", value=max(peaks), unit="MB", at_most=MEMORY, beside=f"goal {GOAL} MB")


def _mixed(source: Path, aws: str) -> Iterator[tuple[Figure, Ours]]:
    trees.mixed(source)
    ours, theirs = Ours(), []
    with far() as there:
        for _ in range(ROUNDS):
            theirs.append(_aws(aws, source, there))
            ours.usages.append(_push(source, there))
        alone = _alone(source, there)
    yield _ratio("200 MB, 3,000 files", ours, theirs, 7), ours
    yield _without_start(alone, theirs), alone
    ours = Ours()
    with far(total=SHARED) as there:
        for _ in range(ROUNDS):
            ours.usages.append(_push(source, there))
        wire = there.stats()["bytes"] / ROUNDS / (SHARED * MB)
        alone = _alone(source, there)
        stock = _aws(aws, source, there).elapsed
    beside = f"{ours.seconds:.2f} s, the wire alone {wire:.2f} s, aws {stock:.2f} s"
    name = f"  at {SHARED:.0f} MB/s in all, of the wire"
    yield Figure(name=name, value=ours.seconds / wire, unit="×", at_most=1.3, beside=beside), ours
    seconds = _seconds(alone)
    yield Figure(name=PART, value=seconds / wire, unit="×", beside=f"{seconds:.2f} s"), alone
    shutil.rmtree(source)


def _dense(source: Path, aws: str) -> Iterator[tuple[Figure, Ours]]:
    trees.dense(source)
    with far() as there:
        ours = Ours([_push(source, there) for _ in range(ROUNDS)])
        theirs = [_aws(aws, source, there)]
        alone = _alone(source, there)
    yield _ratio("1 GB, hardly compresses", ours, theirs, 15), ours
    yield _without_start(alone, theirs), alone
    shutil.rmtree(source)


def _twenty(folder: Path, aws: str) -> Iterator[tuple[Figure, Ours]]:
    sources = [folder / f"bundle-{number:02}" for number in range(BUNDLES)]
    for number, source in enumerate(sources):
        _ten_megabytes(source, number)
    command = [PYTHON, "-m", "tests.benchmarks.uploader", *map(str, sources)]
    with far() as there:
        ours = Ours([measure(command, env=there.env) for _ in range(ROUNDS)])
        alone = [_aws(aws, source, there) for source in sources]
        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
            together = _elapsed(pool, aws, sources, there)
    in_a_row, cpu = sum(usage.elapsed for usage in alone), sum(usage.cpu for usage in alone)
    beside = f"{ours.seconds:.2f} s, {ours.cpu:.1f} s of CPU; aws"
    name = f"{BUNDLES} bundles of 10 MB, one by one"
    yield (
        Figure(
            name=name,
            value=in_a_row / ours.seconds,
            unit="×",
            at_least=10,
            beside=f"{beside} {in_a_row:.1f} s, {cpu:.1f} s",
        ),
        ours,
    )
    name = f"  {PROCESSES} processes side by side"
    yield (
        Figure(name=name, value=together / ours.seconds, unit="×", at_least=4.5, beside=f"{beside} {together:.1f} s"),
        ours,
    )


def _elapsed(pool: concurrent.futures.Executor, aws: str, sources: Sequence[Path], there: Far) -> float:
    began = time.monotonic()
    list(pool.map(lambda source: _aws(aws, source, there), sources))
    return time.monotonic() - began


def _ten_megabytes(source: Path, seed: int) -> None:
    """Half text, half what is compressed already."""
    chance = random.Random(seed)  # noqa: S311 - content for tests, no secret
    library = b"".join(path.read_bytes() for path in sorted(Path(json.__file__).parents[1].glob("*.py")))
    for number in range(50):
        start = chance.randrange(len(library) - 100_000)
        file = source / f"lib/file-{number:02}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(library[start : start + 100_000])
        (source / f"lib/picture-{number:02}.png").write_bytes(chance.randbytes(100_000))
    (source / "appspec.yml").write_text(
        "version: 0.0\nos: linux\nfiles:\n  - source: /lib\n    destination: /srv/lib\n"
    )


def _alone(source: Path, there: Far) -> Ours:
    return Ours(
        [measure([PYTHON, "-m", "tests.benchmarks.uploader", str(source)], env=there.env) for _ in range(ROUNDS)]
    )


def _seconds(alone: Ours) -> float:
    return statistics.median(float(json.loads(usage.output)["seconds"]) for usage in alone.usages)


def _without_start(alone: Ours, theirs: Sequence[Usage]) -> Figure:
    """Without our start, our digest and our SDK, and with theirs: how far the stream itself goes."""
    seconds = _seconds(alone)
    baseline = statistics.median(usage.elapsed for usage in theirs)
    return Figure(name=PART, value=baseline / seconds, unit="×", beside=f"{seconds:.2f} s")


def _ratio(name: str, ours: Ours, theirs: Sequence[Usage], at_least: float) -> Figure:
    baseline = statistics.median(usage.elapsed for usage in theirs)
    cpu = statistics.median(usage.cpu for usage in theirs)
    beside = f"{ours.seconds:.2f} s, {ours.cpu:.1f} s of CPU; aws {baseline:.2f} s, {cpu:.1f} s"
    return Figure(name=name, value=baseline / ours.seconds, unit="×", at_least=at_least, beside=beside)


def _push(source: Path, there: Far) -> Usage:
    location = "s3://releases/shop/${digest}.tgz"
    command = [ORCHESTRATOR, "push", "--application-name", "shop", "--source", str(source), "--s3-location", location]
    return measure(command, env=there.env)


def _aws(aws: str, source: Path, there: Far) -> Usage:
    location = "s3://releases/shop/stock.zip"
    given = ["--application-name", "shop", "--source", str(source), "--s3-location", location]
    return measure([aws, "deploy", "push", *given], env=there.env)
