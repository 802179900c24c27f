"""The server's own figures during a load point: reads /metrics over HTTP, and says what the readings mean."""
