"""This machine: folders, processes, ports and logs of a Ray that runs on it."""
