"""One life of a vLLM server: its command, its processes, readiness, its end, and what went wrong with it."""
