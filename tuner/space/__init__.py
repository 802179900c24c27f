"""Search spaces: reading their files, and refusing a configuration before its launch."""
