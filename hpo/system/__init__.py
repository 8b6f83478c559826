"""What a command needs of its machine: signals, streams, files, errors. Nothing of Podium."""
