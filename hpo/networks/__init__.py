"""One network at a time: trained, evaluated, used; and the baselines."""
