"""Commands about a Ray cluster and its jobs."""
