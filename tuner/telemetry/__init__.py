"""Server and machine during a load point: reads /metrics, GPUs, processes, memory, and says what the readings mean."""
