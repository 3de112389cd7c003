"""Operations about things that the sandbox never holds: tokens for GitHub, resources made by CloudFormation."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.sandbox.context import Context, Handler
from orchestrator.sandbox.errors import Json, ServiceError


def list_github_account_token_names(context: Context, parameters: Json) -> Json:  # noqa: ARG001 - there are none
    if "nextToken" in parameters:
        raise ServiceError("InvalidNextTokenException", "nextToken wasn't given by this call")
    return {"tokenNameList": []}


def delete_github_account_token(context: Context, parameters: Json) -> Json:  # noqa: ARG001 - as above
    name = parameters.get("tokenName")
    if name is None:
        raise ServiceError("GitHubAccountTokenNameRequiredException", "tokenName is required")
    if not name:
        raise ServiceError("InvalidGitHubAccountTokenNameException", "tokenName is empty")
    raise ServiceError("GitHubAccountTokenDoesNotExistException", f"there is no GitHub token {name}")


def delete_resources_by_external_id(context: Context, parameters: Json) -> Json:  # noqa: ARG001 - as above
    """Nothing here has an external id, so there is nothing to delete."""
    return {}


HANDLERS: Mapping[str, Handler] = {
    "ListGitHubAccountTokenNames": list_github_account_token_names,
    "DeleteGitHubAccountToken": delete_github_account_token,
    "DeleteResourcesByExternalId": delete_resources_by_external_id,
}
