"""What happens on an Airflow worker or triggerer.

``operators`` runs one node: depends → when → bind → run → publish. ``scope`` finds values, ``pod`` builds the pod,
``artifacts`` says where bytes go, ``calls`` and ``triggers`` start and follow child runs.
"""
