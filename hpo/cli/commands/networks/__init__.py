"""Commands about networks and images: training, evaluation, prediction, export."""
