"""Where notifications go: webhooks, Slack, GitHub, SNS. Each is a `core.ports.Receiver`."""

from orchestrator.notify.github import API as GITHUB_API
from orchestrator.notify.github import GitHubReceiver
from orchestrator.notify.http import Http
from orchestrator.notify.slack import API as SLACK_API
from orchestrator.notify.slack import SlackMessage, SlackWebhook
from orchestrator.notify.sns import SnsReceiver
from orchestrator.notify.webhook import WebhookReceiver

__all__ = [
    "GITHUB_API",
    "SLACK_API",
    "GitHubReceiver",
    "Http",
    "SlackMessage",
    "SlackWebhook",
    "SnsReceiver",
    "WebhookReceiver",
]
