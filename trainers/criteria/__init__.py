"""What a network is trained by, a loss, and what it is judged by, a metric."""
