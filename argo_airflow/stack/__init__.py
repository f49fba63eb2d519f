"""One machine's Airflow, Postgres, S3 server and pod runtime as supervised processes.

:class:`argo_airflow.stack.stack.Stack` is the whole of it. This file imports nothing, because the bootstrap and the
watchdog of the stack run where nothing is installed or loaded.
"""
