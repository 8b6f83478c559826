"""A Ray of our own: it starts beside the process that asks for it, with workers that are forks of one process.

    starting.py (in the driver)  starts  host.py     the process that starts Ray's head and ends it; in it
                                         |           environments.py answers for the variables that tasks ask for
                                         |- gcs_server, raylet
                                         |           |- launcher.py  once for each worker; asks the fork server
                                         `- fork_server.py           has imported PyTorch, Ray and the trial's modules
                                                     `- workers

`ray.init` alone would start three processes more than are needed here, and each worker would import PyTorch again.
"""
