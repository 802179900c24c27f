"""Pure: latencies, percentiles, goodput, saturation, the ladder's decisions, objectives. Reads no clock."""
