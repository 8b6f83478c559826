"""What Podium is measured against, each written as its own documentation does."""
