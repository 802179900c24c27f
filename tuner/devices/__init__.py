"""GPUs as data, and what this machine has: a name becomes a `Device`."""
