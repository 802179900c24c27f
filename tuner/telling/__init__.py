"""Telling people and their monitoring how a study stands: webhooks and a Prometheus endpoint."""
