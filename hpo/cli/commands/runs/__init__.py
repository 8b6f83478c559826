"""Commands about runs: what there is, what came of them, several side by side."""
