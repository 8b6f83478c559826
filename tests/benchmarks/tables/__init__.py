"""Tables of real trials: made once by Podium's own engine, and then looked up by searches."""
