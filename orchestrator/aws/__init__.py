"""AWS: sessions, the CodeDeploy transport, S3 and STS, with errors translated. The only place that knows the SDK.

Nothing here imports the SDK until the first call (`sdk` and `fastjson` do, and are themselves imported late):
it costs about 0.4 s of CPU that `validate` and `--help` must not pay.
"""

from orchestrator.aws.buffers import Buffers
from orchestrator.aws.copying import CopySource
from orchestrator.aws.functions import ENDED, Fate, Function, Functions
from orchestrator.aws.identity import Identity, caller_identity
from orchestrator.aws.retry import Backoff
from orchestrator.aws.s3 import ObjectInfo, ObjectStore
from orchestrator.aws.session import AwsSession, Timeouts
from orchestrator.aws.transport import CodeDeployTransport

__all__ = [
    "ENDED",
    "AwsSession",
    "Backoff",
    "Buffers",
    "CodeDeployTransport",
    "CopySource",
    "Fate",
    "Function",
    "Functions",
    "Identity",
    "ObjectInfo",
    "ObjectStore",
    "Timeouts",
    "caller_identity",
]
