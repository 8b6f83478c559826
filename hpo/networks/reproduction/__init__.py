"""The five systems that Podium grew out of: their recipes, and the runs and tables that reproduce them."""
