"""What is assumed of launches until some were repeated. Apart from what computes with it, which needs numpy."""

BETWEEN_LAUNCHES = 0.02
"""Relative standard deviation of a capacity between launches of one configuration: 1 to 3 % was seen on the CPU
engine."""
LATENCY_BETWEEN_LAUNCHES = 0.05
"""The same of a latency percentile at the target rate."""
