"""The load generator: schedules, prompts and a streaming client. Knows a URL, never a server object."""
