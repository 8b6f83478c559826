"""One study, from the lock to the last file."""
