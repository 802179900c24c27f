"""Pure: latencies, percentiles, goodput, saturation, the capacity search's decisions, objectives. Reads no clock."""
